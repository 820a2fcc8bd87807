"""Training on groups: masks, order, exact normalisation, resuming; plain torch, tiny models."""

import dataclasses
import json
from pathlib import Path

import pytest
import torch

from raymode.config import Config, EcoConfig, ModelConfig, TrainConfig
from raymode.errors import DataError, TrainingError
from raymode.store import Store
from raymode.template import end_id, prompt_ids, response_ids
from raymode.train.base import make_base
from raymode.train.batching import IGNORE, collate, group_indices, share_of_rank
from raymode.train.logprob import response_logp
from raymode.train.loop import load_base, train
from raymode.train.step import learning_rate, update
from raymode.train.tokens import EncodedGroup, Group, encode, groups_of

GROUPS = [
    Group(
        f"add/{k}",
        f"Read n. Print n + {k}.",
        (f"n = int(input())\nprint(n + {k})", f"print(int(input()) + {k})"),
    )
    for k in range(2, 18)
]
CONFIG = Config(
    model=ModelConfig(vocabulary=320, width=64, layers=1),
    train=TrainConfig(
        responses=2, steps=6, responses_per_step=8, checkpoint_every=2, warmup_steps=2
    ),
)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    directory = tmp_path_factory.mktemp("base")
    make_base(
        [text for group in GROUPS for text in (group.prompt, *group.responses)],
        CONFIG.model,
        0,
        directory,
    )
    return str(directory)


@pytest.fixture(scope="module")
def loaded(base):
    return load_base(base)


def rows(groups):
    return [
        {
            "prompt_rank": rank, "problem_id": group.problem_id, "prompt": group.prompt, "response_rank": place,
            "solution_id": f"{rank}/{place}", "response": response, "cluster_id": None,
        }
        for rank, group in enumerate(groups)
        for place, response in enumerate(group.responses)
    ]  # fmt: skip


def test_groups_come_back_from_shuffled_rows():
    assert groups_of(reversed(rows(GROUPS))) == GROUPS


def test_only_responses_and_their_end_are_trained(loaded):
    tokenizer, _ = loaded
    group = encode(tokenizer, GROUPS[:1], 256)[0]
    batch = collate([group], tokenizer.pad_token_id)
    for row, response in enumerate(GROUPS[0].responses):
        trained = batch.labels_BT[row][batch.labels_BT[row] != IGNORE].tolist()
        assert tokenizer.decode(trained[:-1]) == response
        assert trained[-1] == end_id(tokenizer)
        assert batch.labels_BT[row, : len(group.prompt)].eq(IGNORE).all()


def test_a_prompt_is_the_chat_template_or_the_prompt_and_a_newline(loaded):
    tokenizer, _ = loaded
    assert tokenizer.decode(prompt_ids(tokenizer, "Read n.")) == "Read n.<|answer|>"
    assert response_ids(tokenizer, "")[-1] == end_id(tokenizer)


def test_a_tokenizer_without_end_is_refused(loaded, base):
    tokenizer, _ = load_base(base)
    tokenizer.eos_token = None
    with pytest.raises(DataError, match="has no end-of-sequence token"):
        end_id(tokenizer)


def test_a_response_that_is_too_long_is_named(loaded):
    with pytest.raises(
        DataError,
        match=r"problem add/2: prompt and response are \d+ tokens, more than train.max_tokens=8",
    ):
        encode(loaded[0], GROUPS[:1], 8)


def test_parameters_stand_alone_as_digits(loaded):
    ids = loaded[0]("print(n + 17)", add_special_tokens=False).input_ids
    assert [
        token for token in loaded[0].convert_ids_to_tokens(ids) if any(c.isdigit() for c in token)
    ] == ["1", "7"]


def test_log_probabilities_equal_the_unpadded_ones(loaded):
    tokenizer, model = loaded
    model = model.double()
    groups = encode(tokenizer, GROUPS[:3], 256)
    logp_PK, tokens_PK = response_logp(model, collate(groups, tokenizer.pad_token_id))
    for p, group in enumerate(groups):
        for k, response in enumerate(group.responses):
            ids = torch.tensor([group.prompt + response])
            logits = model(input_ids=ids).logits[0, len(group.prompt) - 1 : -1].log_softmax(-1)
            expected = logits.gather(1, torch.tensor(response)[:, None]).sum().item()
            assert logp_PK[p, k].item() == pytest.approx(expected, abs=1e-4)
            assert tokens_PK[p, k] == len(response)
    model.float()


def test_the_order_is_whole_epochs_and_resumable():
    steps = [group_indices(step, 7, 3, seed=1) for step in range(14)]
    flat = [index for step in steps for index in step]
    for epoch in range(6):
        assert sorted(flat[epoch * 7 : epoch * 7 + 7]) == list(range(7))
    assert flat[:7] != flat[7:14]
    assert group_indices(9, 7, 3, seed=1) == steps[9]
    assert group_indices(9, 7, 3, seed=2) != steps[9]


def test_ranks_share_whole_groups_evenly():
    costs = [9, 1, 8, 2, 7, 3]
    shares = [share_of_rank(costs, rank, 2) for rank in range(2)]
    assert sorted(shares[0] + shares[1]) == list(range(6))
    assert abs(sum(costs[i] for i in shares[0]) - sum(costs[i] for i in shares[1])) <= 2


def test_the_learning_rate_warms_up_and_decays():
    schedule = {"peak": 1.0, "warmup": 4, "total": 20}
    rates = [learning_rate(step, schedule) for step in range(20)]
    assert rates[:4] == [0.25, 0.5, 0.75, 1.0]
    assert rates[4:] == sorted(rates[4:], reverse=True)
    assert rates[19] == pytest.approx(0.1, abs=0.02)


def gradients(model):
    return torch.cat(
        [parameter.grad.flatten() for parameter in model.parameters() if parameter.grad is not None]
    )


@pytest.mark.parametrize(
    ("loss", "weight", "reduction"),
    [("nll", 0.0, "mean"), ("eco", 0.5, "mean"), ("eco", 0.01, "sum")],
)
def test_an_update_is_the_mean_over_groups(base, loss, weight, reduction):
    from raymode.losses import LOSSES

    tokenizer, model = load_base(base)
    config = dataclasses.replace(
        CONFIG,
        train=dataclasses.replace(CONFIG.train, loss=loss, clip_norm=0.0),
        eco=EcoConfig(weight, reduction),
    )
    groups = encode(tokenizer, GROUPS[:4], 256)
    captured = []

    class Capture(torch.optim.SGD):
        def step(self, closure=None):
            captured.append(gradients(model).clone())

    metrics = update(
        model,
        Capture(model.parameters(), lr=0.1),
        groups,
        config,
        tokenizer.pad_token_id,
        torch.device("cpu"),
    )
    losses = []
    for group in groups:
        logp_PK, tokens_PK = response_logp(model, collate([group], tokenizer.pad_token_id))
        losses.append(LOSSES[loss](logp_PK, tokens_PK, weight, reduction)[0])
    mean_length = sum(group.response_tokens for group in groups) / 8
    (torch.stack(losses).mean() / mean_length).backward()
    assert torch.allclose(captured[0], gradients(model), atol=1e-6)
    assert metrics["loss"] == pytest.approx(torch.stack(losses).mean().item(), rel=1e-5)


def test_a_loss_that_is_not_finite_stops_and_names_the_problems(base):
    tokenizer, model = load_base(base)
    with torch.no_grad():
        model.lm_head.weight.fill_(float("nan"))
    groups = encode(tokenizer, GROUPS[:2], 256)
    with pytest.raises(TrainingError, match="not finite on problems add/2, add/3"):
        update(
            model,
            torch.optim.SGD(model.parameters()),
            groups,
            CONFIG,
            tokenizer.pad_token_id,
            torch.device("cpu"),
        )


def run(tmp_path, base, name, config=CONFIG, stop_after=None):
    store = Store(str(tmp_path / name))
    if not store.exists("groups.parquet"):
        store.write_rows("groups.parquet", "groups", rows(GROUPS))
        store.write_rows("heldout_groups.parquet", "groups", rows(GROUPS[:5]))

    def progress(step, metrics):
        if step == stop_after:
            raise InterruptedError

    train(config, store, base, progress)
    return store


def losses_of(store):
    return [json.loads(line)["loss"] for line in store.read_bytes("metrics.jsonl").splitlines()]


def test_training_learns_and_a_resumed_run_equals_an_uninterrupted_one(tmp_path, base):
    whole = run(tmp_path, base, "whole")
    with pytest.raises(InterruptedError):
        run(tmp_path, base, "cut", stop_after=5)
    assert not Store(str(tmp_path / "cut")).exists("checkpoint")
    resumed = run(tmp_path, base, "cut")
    assert losses_of(resumed) == losses_of(whole)
    assert len(losses_of(whole)) == 6
    assert losses_of(whole)[-1] < losses_of(whole)[0]
    assert resumed.rows("heldout.parquet") == whole.rows("heldout.parquet")
    assert resumed.read_json("checkpoint/manifest.json") == whole.read_json(
        "checkpoint/manifest.json"
    )


def test_the_checkpoint_opens_with_plain_transformers_and_agrees(tmp_path, base):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    store = run(tmp_path, base, "plain")
    directory = Path(store.path("checkpoint"))
    tokenizer, model = (
        AutoTokenizer.from_pretrained(directory),
        AutoModelForCausalLM.from_pretrained(directory),
    )
    group = encode(tokenizer, GROUPS[:1], 256)[0]
    logp_PK, _ = response_logp(model, collate([group], tokenizer.pad_token_id))
    stored = [row["logp"] for row in store.rows("heldout.parquet") if row["problem_id"] == "add/2"]
    assert logp_PK[0].tolist() == pytest.approx(stored, abs=1e-3)


def test_groups_of_another_size_are_refused(tmp_path, base):
    config = dataclasses.replace(CONFIG, train=dataclasses.replace(CONFIG.train, responses=4))
    with pytest.raises(DataError, match=r"groups have \[2\] responses, train.responses=4"):
        run(tmp_path, base, "wrong", config)


def test_an_encoded_group_counts_its_trained_tokens():
    assert EncodedGroup("p", (1, 2), ((3, 4), (5,))).response_tokens == 3


def test_a_half_written_checkpoint_is_made_whole_and_kept(tmp_path, base):
    from raymode.train.checkpoint import DIRECTORY, load_progress, save_progress

    store = Store(str(tmp_path))
    _, model = load_base(base)
    optimizer = torch.optim.AdamW(model.parameters())
    save_progress(store, 2, model, optimizer, rank=0)
    store.write_bytes(f"{DIRECTORY}/step-000004/state.pt", b"cut by a kill")
    assert load_progress(store, model, optimizer) == 2
    save_progress(store, 4, model, optimizer, rank=0)
    assert store.names(DIRECTORY) == ["step-000004"]
    assert load_progress(store, model, optimizer) == 4
