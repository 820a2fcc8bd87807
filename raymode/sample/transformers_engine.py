"""Sampling with plain transformers: left-padded batches and a key-value cache, where vLLM cannot be installed."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from raymode.config import SampleConfig
from raymode.sample.prompts import Answer, Decoding, Request
from raymode.sample.tokens import answer_of, encode, stop_at
from raymode.template import end_id

ROWS = 256  # answers drawn side by side: bounds the memory of a batch


@dataclass(slots=True)
class _Row:
    """An answer that is being drawn."""

    number: int  # of its request
    decoding: Decoding
    generator: torch.Generator
    ids: list[int] = field(default_factory=list)
    logprob: float = 0.0
    finish_reason: str = ""


class TransformersEngine:
    """Answers requests with a transformers model in float32."""

    def __init__(self, checkpoint: Path | str, config: SampleConfig) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.config = config
        self.device = torch.device("cuda" if config.gpu_per_engine else "cpu")
        self.tokenizer = AutoTokenizer.from_pretrained(checkpoint)
        self.model = (
            AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32)
            .to(self.device)
            .eval()
        )
        more = self.model.generation_config.eos_token_id
        self.ends = {
            end_id(self.tokenizer),
            *(more if isinstance(more, list) else [] if more is None else [more]),
        }

    def close(self) -> None:
        """Nothing outlives this engine."""

    def generate(self, requests: Sequence[Request]) -> list[Answer]:
        """Return one answer per request, in order. Raises DataError if a prompt is too long."""
        prompts = encode(self.tokenizer, requests, self.config)
        # Prompts of like length stand together: less padding.
        order = sorted(range(len(requests)), key=lambda number: len(prompts[number]))
        answers: dict[int, Answer] = {}
        for start in range(0, len(order), ROWS):
            numbers = order[start : start + ROWS]
            rows = [
                _Row(number, requests[number].decoding, self._generator(requests[number].seed))
                for number in numbers
            ]
            with torch.inference_mode():
                self._draw_all(rows, [prompts[number] for number in numbers])
            for row in rows:
                answers[row.number] = answer_of(
                    self.tokenizer, row.ids, row.logprob, row.finish_reason, self.config.stop
                )
        return [answers[number] for number in range(len(requests))]

    def _generator(self, seed: int) -> torch.Generator:
        return torch.Generator().manual_seed(seed)  # on the CPU, whatever the device

    def _draw_all(self, rows: list[_Row], prompts: Sequence[list[int]]) -> None:
        """Draw until every row has ended; rows that have are dropped when they are half of the batch."""
        width = max(map(len, prompts))
        pad = end_id(self.tokenizer)  # never looked at
        ids_BT = self._tensor([[pad] * (width - len(prompt)) + prompt for prompt in prompts])
        mask_BT = self._tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts])
        cache: Any = None
        for _ in range(self.config.max_tokens):
            position_BT = (mask_BT.cumsum(1) - 1).clamp(min=0)[:, -ids_BT.shape[1] :]
            output = self.model(
                input_ids=ids_BT, attention_mask=mask_BT, position_ids=position_BT, past_key_values=cache,
                use_cache=True, logits_to_keep=1,
            )  # fmt: skip
            cache = output.past_key_values
            tokens = self._draw(output.logits[:, -1].float().log_softmax(-1), rows)
            open_rows = [place for place, row in enumerate(rows) if not row.finish_reason]
            if not open_rows:
                return
            ids_BT = self._tensor(tokens)[:, None]
            mask_BT = torch.cat([mask_BT, torch.ones_like(ids_BT)], dim=1)
            if 2 * len(open_rows) <= len(rows):
                kept = self._tensor(open_rows)
                cache.batch_select_indices(kept)
                ids_BT, mask_BT = ids_BT[kept], mask_BT[kept]
                rows = [rows[place] for place in open_rows]
        for row in rows:
            row.finish_reason = row.finish_reason or "length"

    def _draw(self, logp_BV: torch.Tensor, rows: Sequence[_Row]) -> list[int]:
        """Draw a token for every row, and add it to those that have not ended."""
        tokens = draw(logp_BV, [row.decoding for row in rows], [row.generator for row in rows])
        chosen_B = logp_BV.gather(1, self._tensor(tokens)[:, None])[:, 0].tolist()
        for row, token, logp in zip(rows, tokens, chosen_B, strict=True):
            if row.finish_reason:
                continue
            row.ids.append(token)
            row.logprob += logp
            if token in self.ends or self._said_stop(row):
                row.finish_reason = "stop"
        return tokens

    def _said_stop(self, row: _Row) -> bool:
        if not self.config.stop:
            return False
        text = self.tokenizer.decode(row.ids, skip_special_tokens=True)
        return stop_at(str(text), self.config.stop) is not None

    def _tensor(self, values: Any) -> torch.Tensor:
        return torch.tensor(values, device=self.device)


def draw(
    logp_BV: torch.Tensor, decodings: Sequence[Decoding], generators: Sequence[torch.Generator]
) -> list[int]:
    """Return one token per row, drawn from `cut_BV` with the row's own generator; at temperature 0 the likeliest."""
    likeliest = logp_BV.argmax(-1).tolist()
    probability_BV = cut(logp_BV.cpu(), decodings)
    return [
        int(torch.multinomial(row_V, 1, generator=generator)) if decoding.temperature else token
        for row_V, generator, decoding, token in zip(
            probability_BV, generators, decodings, likeliest, strict=True
        )
    ]


def cut(logp_BV: torch.Tensor, decodings: Sequence[Decoding]) -> torch.Tensor:
    """Return each row's probabilities at its temperature, those that its min-p and then its top-p drop at 0.

    min_p drops tokens with less than that share of the likeliest one's probability; top_p keeps the fewest of the
    likeliest whose probability is at least that, of what is left. Rows do not sum to 1 when something is dropped.
    """
    temperature_B1 = _column([decoding.temperature or 1.0 for decoding in decodings])
    probability_BV = (logp_BV / temperature_B1).softmax(-1)
    if any(decoding.min_p for decoding in decodings):
        least_B1 = _column([d.min_p for d in decodings]) * probability_BV.amax(-1, keepdim=True)
        probability_BV = probability_BV.where(probability_BV >= least_B1, 0.0)
    if any(decoding.top_p < 1 for decoding in decodings):
        top_B1 = _column([d.top_p for d in decodings]) * probability_BV.sum(-1, keepdim=True)
        ordered_BV, order_BV = probability_BV.sort(dim=-1, descending=True)
        before_BV = ordered_BV.cumsum(-1) - ordered_BV
        # A top_p of 1 keeps all, whatever a sum of floats says.
        dropped_BV = (before_BV >= top_B1) & (_column([d.top_p for d in decodings]) < 1)
        kept_BV = ordered_BV.masked_fill(dropped_BV, 0.0)
        probability_BV = torch.zeros_like(probability_BV).scatter_(-1, order_BV, kept_BV)
    return probability_BV


def _column(values: Sequence[float]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32)[:, None]
