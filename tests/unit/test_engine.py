"""The transformers engine: own seeds, true log-probabilities, the same answers whatever stands beside a request."""

from dataclasses import replace

import pytest
import torch

from raymode.config import ModelConfig, SampleConfig
from raymode.errors import DataError, StorageError
from raymode.sample.engine import engine_environment, gpu_options, make_engine, vllm_options
from raymode.sample.pool import EngineActor, Model, Weights, weights_of
from raymode.sample.prompts import Decoding, Request, cost, in_chunks, make_requests
from raymode.sample.transformers_engine import TransformersEngine, cut
from raymode.store import Store
from raymode.template import prompt_ids
from raymode.train.base import make_base

PROBLEMS = [
    {"problem_id": f"p{k}", "prompt": f"Read n{' and m' * k}. Print n + {k}."} for k in range(4)
]
CONFIG = SampleConfig(engine="transformers", max_tokens=12, completions=3)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    directory = tmp_path_factory.mktemp("checkpoint")
    texts = [problem["prompt"] for problem in PROBLEMS] + ["n = int(input())\nprint(n + 3)"]
    make_base(texts, ModelConfig(vocabulary=300, width=64, layers=1), 0, directory)
    return directory


@pytest.fixture(scope="module")
def engine(checkpoint):
    engine = make_engine(checkpoint, CONFIG)
    assert isinstance(engine, TransformersEngine)
    return engine


def ask(prompt=PROBLEMS[0]["prompt"], seed=5, **decoding):
    return Request("p0", 0, (prompt,), seed, Decoding(**decoding))


def test_chunks_cost_the_same_and_depend_on_the_requests_alone():
    requests = make_requests(PROBLEMS, CONFIG, seed=1)
    assert [len(chunk) for chunk in in_chunks(requests, 5, 128)] == [4, 4, 4]
    assert [r for chunk in in_chunks(requests, 5, 128) for r in chunk] == requests
    assert in_chunks([], 5, 128) == []
    long = [replace(request, messages=("x" * 3000,)) for request in requests[:6]]
    chunks = in_chunks(long + requests[6:], 6, 10)  # 110 and about 11 each
    assert [len(chunk) for chunk in chunks] == [3, 9]
    assert [round(sum(cost(r, 10) for r in chunk)) for chunk in chunks] == [330, 397]


def test_a_request_is_answered_the_same_alone_and_in_company(engine):
    requests = make_requests(PROBLEMS, CONFIG, seed=1)
    together = engine.generate(requests)
    alone = [engine.generate([request])[0] for request in requests]
    assert [c.text for c in together] == [c.text for c in alone]
    assert [c.logprob for c in together] == pytest.approx([c.logprob for c in alone], rel=1e-4)
    assert len({c.text for c in together}) > 6


def test_rows_that_ended_are_dropped_and_change_nothing(engine, monkeypatch):
    ends = set(range(0, len(engine.tokenizer), 4))  # an answer has about four tokens
    monkeypatch.setattr(engine, "ends", ends)
    requests = make_requests(PROBLEMS, CONFIG, seed=1)
    together = engine.generate(requests)
    alone = [engine.generate([request])[0] for request in requests]
    assert together == [replace(c, logprob=pytest.approx(c.logprob, rel=1e-4)) for c in alone]
    assert len({c.tokens for c in together}) > 3
    assert {c.finish_reason for c in together} >= {"stop"}


def test_greedy_answers_and_their_log_probability_are_the_model_s_own(engine):
    answer = engine.generate([ask(temperature=0)])[0]
    ids, logprob = prompt_ids(engine.tokenizer, PROBLEMS[0]["prompt"]), 0.0
    for _ in range(answer.tokens):
        with torch.no_grad():
            logp_V = engine.model(torch.tensor([ids])).logits[0, -1].log_softmax(-1)
        ids.append(int(logp_V.argmax()))
        logprob += float(logp_V.max())
    assert answer.logprob == pytest.approx(logprob, rel=1e-4)


def test_every_request_has_its_own_decoding(engine):
    greedy, hot = ask(temperature=0), ask()
    mixed = engine.generate([hot, greedy, hot, ask(min_p=1.0), ask(top_p=1e-6)])
    assert mixed[0] == replace(mixed[2], logprob=pytest.approx(mixed[2].logprob))
    assert mixed[1].text == mixed[3].text == mixed[4].text != mixed[0].text
    # temperature 1 and uncut, whatever was drawn with
    assert mixed[3].logprob == pytest.approx(mixed[1].logprob, rel=1e-4)


def test_cuts_by_hand():
    logp_BV = torch.tensor([[0.5, 0.25, 0.15, 0.1]]).log()
    cases = {
        (1.0, 1.0, 0.0): [0.5, 0.25, 0.15, 0.1],
        (1.0, 1.0, 0.3): [0.5, 0.25, 0.15, 0],  # 0.3 * 0.5 = 0.15
        (1.0, 1.0, 0.31): [0.5, 0.25, 0, 0],
        (1.0, 0.75, 0.0): [0.5, 0.25, 0, 0],
        (1.0, 0.76, 0.0): [0.5, 0.25, 0.15, 0],
        # of what min_p leaves, 0.9, the first has 0.556 and the first two 0.833
        (1.0, 0.82, 0.3): [0.5, 0.25, 0, 0],
        # squares over their sum, 0.345
        (0.5, 1.0, 0.1): [0.25 / 0.345, 0.0625 / 0.345, 0, 0],
    }
    decodings = [Decoding("", *case) for case in cases]
    got = cut(logp_BV.expand(len(cases), -1), decodings)
    # rounding may fall either way where a sum is just at the bound
    assert got.numpy() == pytest.approx(torch.tensor(list(cases.values())).numpy(), abs=1e-6)


def test_a_stop_string_ends_the_answer_and_is_not_part_of_it(checkpoint, engine):
    whole = engine.generate([ask()])[0]
    word = whole.text[3:5]
    stopping = make_engine(checkpoint, replace(CONFIG, stop=("never said", word)))
    answer = stopping.generate([ask()])[0]
    assert answer.text == whole.text[: whole.text.index(word)]
    assert answer.finish_reason == "stop"
    assert 0 < answer.tokens < whole.tokens
    assert 0 > answer.logprob > whole.logprob


def test_a_prefix_is_given_and_not_drawn(engine):
    plain, begun = ask(temperature=0), replace(ask(temperature=0), prefix="print")
    answer = engine.generate([begun])[0]
    ids = [*prompt_ids(engine.tokenizer, plain.messages), *engine.tokenizer("print").input_ids]
    with torch.no_grad():
        logp_V = engine.model(torch.tensor([ids])).logits[0, -1]
    assert answer.text.startswith(engine.tokenizer.decode([int(logp_V.argmax())]))


def test_a_prompt_that_is_too_long_is_named_before_anything_is_drawn(checkpoint):
    engine = make_engine(checkpoint, replace(CONFIG, max_model_len=60, max_tokens=20))
    longer = Request("long one", 0, ("print " * 60,), 1)
    with pytest.raises(
        DataError, match=r"problem 'long one': its prompt has \d+ tokens, and sample.max_model_len"
    ):
        engine.generate([ask(), longer])


def test_the_weights_of_a_plain_directory_are_hashed_and_a_missing_one_is_named(
    checkpoint, tmp_path
):
    assert len(weights_of(Store(str(checkpoint))).content) == 64
    with pytest.raises(
        StorageError, match=r"holds no finished checkpoint; run jobs/train\.py first"
    ):
        weights_of(Store(str(tmp_path)))


@pytest.mark.parametrize("finished", [False, True])
def test_an_actor_refuses_a_checkpoint_that_has_changed(tmp_path, finished):
    def make(seed):
        made = tmp_path / ("made" if finished else "c")
        make_base(["n = 3"], ModelConfig(vocabulary=270, width=64, layers=1), seed, made)
        if finished:
            Store(str(tmp_path)).upload(made, "c")

    make(0)
    weights = weights_of(Store(str(tmp_path / "c")))
    same = EngineActor(Model(weights), CONFIG).answer([ask()])
    assert len(same.result) == 1
    make(1)
    with pytest.raises(StorageError, match=r"/c: its content has changed since sampling began \("):
        EngineActor(Model(weights), CONFIG).answer([ask()])
    (tmp_path / "c" / "model.safetensors").write_bytes(b"half of one")
    with pytest.raises(StorageError, match="has changed"):
        EngineActor(Model(Weights(weights.checkpoint, weights.content)), CONFIG).answer([ask()])


def test_shares_of_gpus():
    assert gpu_options(0.5) == {"gpu_memory_utilization": 0.45, "tensor_parallel_size": 1}
    assert gpu_options(2.0) == {"gpu_memory_utilization": 0.9, "tensor_parallel_size": 2}
    assert gpu_options(2.0, share=0.5)["gpu_memory_utilization"] == 0.45
    assert "TORCH_COMPILE_DISABLE" not in engine_environment(SampleConfig(gpu_per_engine=1.0))


def test_the_cache_of_an_engine_on_a_cpu_is_as_large_as_asked():
    assert vllm_options(SampleConfig(kv_cache_gb=0.25))["kv_cache_memory_bytes"] == 2**28
    assert "kv_cache_memory_bytes" not in vllm_options(SampleConfig(gpu_per_engine=1.0))
