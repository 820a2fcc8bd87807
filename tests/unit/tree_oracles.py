"""Slow and plain forms of what the attention over trees must compute, and small random inputs for it."""

import torch

from raymode.train.trees import IS_PROMPT


def visible(layout, window=None):
    """Return who sees whom in a row, (T, T), True = sees."""
    segments = layout.table_S3.tolist()
    ends = {start: end for start, end, root in segments if root == IS_PROMPT}
    total = segments[-1][1]
    seen = torch.zeros(total, total, dtype=torch.bool)
    for start, end, root in segments:
        first, prompt = (start, 0) if root == IS_PROMPT else (root, ends[root] - root)
        for place in range(start, end):
            context = [*range(first, first + prompt), *range(start, place + 1)]
            seen[place, context[-window:] if window else context] = True
    return seen


def dense(query, key, value, mask, scale, softcap=None):
    """Return attention (1, H, T, D) by its formula, with the softmax in the inputs' dtype."""
    ratio = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(ratio, 1), value.repeat_interleave(ratio, 1)
    scores = query @ key.transpose(2, 3) * scale
    if softcap is not None:
        scores = softcap * torch.tanh(scores / softcap)
    return scores.masked_fill(~mask, float("-inf")).softmax(-1) @ value


def dense_attention(module, query, key, value, attention_mask, scaling=None, sliding_window=None, softcap=None, **_):  # fmt: skip
    """Attention of one whole sequence as a transformers attention function."""
    place = torch.arange(query.shape[2])
    behind = place[:, None] - place
    mask = (behind >= 0) & (behind < (sliding_window or len(place)))
    out = dense(query, key, value, mask, scaling, softcap)
    return out.transpose(1, 2).contiguous(), None


def attend(query, key, value, spans, scale):
    """Return what `varlen.flash` returns, span by span."""
    out = torch.empty_like(query)
    lse = query.new_empty(query.shape[1], len(query))
    for q, k in _pairs(spans):
        scores = _scores(query[q], key[k], spans.causal, scale)
        lse[:, q] = scores.logsumexp(-1)
        out[q] = (scores.softmax(-1) @ _heads(value[k], query.shape[1])).transpose(0, 1)
    return out, lse


def attend_backward(grad, query, key, value, out, lse, spans, scale):
    """Return what `varlen.flash_backward` returns, from (out, lse) as flash attention does it."""
    grads = torch.zeros_like(query), torch.zeros_like(key), torch.zeros_like(value)
    heads, key_heads = query.shape[1], key.shape[1]
    for q, k in _pairs(spans):
        weights = (_scores(query[q], key[k], spans.causal, scale) - lse[:, q, None]).exp()
        g, v = grad[q].transpose(0, 1), _heads(value[k], heads)
        delta = (grad[q] * out[q]).sum(-1).t()[..., None]
        ds = weights * (g @ v.transpose(1, 2) - delta) * scale
        grads[0][q] = (ds @ _heads(key[k], heads)).transpose(0, 1)
        dk = (ds.transpose(1, 2) @ query[q].transpose(0, 1)).transpose(0, 1)
        dv = (weights.transpose(1, 2) @ g).transpose(0, 1)
        for total, part in zip(grads[1:], (dk, dv), strict=True):
            total[k] = part.reshape(len(part), key_heads, heads // key_heads, -1).sum(2)
    return grads


def _pairs(spans):
    q, k = spans.query_ends.tolist(), spans.key_ends.tolist()
    return [(slice(a, b), slice(c, d)) for a, b, c, d in zip(q[:-1], q[1:], k[:-1], k[1:], strict=True)]  # fmt: skip


def _heads(rows, heads):
    return rows.repeat_interleave(heads // rows.shape[1], 1).transpose(0, 1)


def _scores(query, key, causal, scale):
    scores = query.transpose(0, 1) @ _heads(key, query.shape[1]).transpose(1, 2) * scale
    if causal:
        scores = scores.masked_fill(~torch.ones(scores.shape[1:], dtype=torch.bool).tril(), float("-inf"))  # fmt: skip
    return scores
