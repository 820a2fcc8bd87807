"""The transformers engine: own seeds, true log-probabilities, the same answers whatever stands beside a request."""

import pytest
import torch

from raymode.config import ModelConfig, SampleConfig
from raymode.errors import StorageError
from raymode.sample.engine import TransformersEngine, engine_environment, gpu_options, make_engine
from raymode.sample.pool import weights_of
from raymode.sample.prompts import Request, in_chunks, make_requests
from raymode.store import Store
from raymode.template import prompt_ids
from raymode.train.base import make_base

PROBLEMS = [
    {"problem_id": f"p{k}", "prompt": f"Read n{' and m' * k}. Print n + {k}."} for k in range(4)
]
CONFIG = SampleConfig(engine="transformers", max_tokens=12)


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


def test_requests_have_seeds_that_depend_on_the_problem_alone():
    requests = make_requests(PROBLEMS, 3, seed=1)
    assert [(r.problem_id, r.index) for r in requests[:4]] == [
        ("p0", 0),
        ("p0", 1),
        ("p0", 2),
        ("p1", 0),
    ]
    assert len({request.seed for request in requests}) == 12
    assert make_requests(PROBLEMS[1:], 3, seed=1) == requests[3:]
    assert make_requests(PROBLEMS, 3, seed=2)[0].seed != requests[0].seed
    assert [len(chunk) for chunk in in_chunks(requests, 5)] == [5, 5, 2]


def test_a_request_is_answered_the_same_alone_and_in_company(engine):
    requests = make_requests(PROBLEMS, 3, seed=1)
    together = engine.generate(requests)
    alone = [engine.generate([request])[0] for request in requests]
    assert [c.text for c in together] == [c.text for c in alone]
    assert [c.logprob for c in together] == pytest.approx([c.logprob for c in alone], rel=1e-4)
    assert len({c.text for c in together}) > 6


def test_greedy_answers_and_their_log_probability_are_the_model_s_own(checkpoint):
    engine = TransformersEngine(
        checkpoint, SampleConfig(engine="transformers", max_tokens=6, temperature=0)
    )
    completion = engine.generate([Request("p0", 0, PROBLEMS[0]["prompt"], 5)])[0]
    ids, logprob = prompt_ids(engine.tokenizer, PROBLEMS[0]["prompt"]), 0.0
    for _ in range(completion.tokens):
        with torch.no_grad():
            logp_V = engine.model(torch.tensor([ids])).logits[0, -1].log_softmax(-1)
        ids.append(int(logp_V.argmax()))
        logprob += float(logp_V.max())
    assert completion.logprob == pytest.approx(logprob, rel=1e-4)


def test_the_weights_of_a_plain_directory_are_hashed_and_a_missing_one_is_named(
    checkpoint, tmp_path
):
    assert len(weights_of(Store(str(checkpoint))).content) == 64
    with pytest.raises(
        StorageError, match=r"holds no finished checkpoint; run jobs/train\.py first"
    ):
        weights_of(Store(str(tmp_path)))


def test_shares_of_gpus():
    assert gpu_options(0.5) == {"gpu_memory_utilization": 0.45, "tensor_parallel_size": 1}
    assert gpu_options(2.0) == {"gpu_memory_utilization": 0.9, "tensor_parallel_size": 2}
    assert "VLLM_CPU_KVCACHE_SPACE" not in engine_environment(SampleConfig(gpu_per_engine=1.0))
