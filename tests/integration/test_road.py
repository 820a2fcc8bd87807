"""The road end to end with its real parts: Ray Train, vLLM, the sandbox, Ray Tune."""

import dataclasses
import json
import math

import pytest

from raymode import stages
from raymode.errors import ConfigError, DataError, StorageError
from raymode.store import Store
from raymode.tables import set_table

TIMES = ("train_core_s", "sample_core_s", "score_core_s")


def losses(config):
    return [
        json.loads(line)["loss"]
        for line in Store(config.run_dir).read_bytes("metrics.jsonl").splitlines()
    ]


def test_one_and_two_workers_train_the_same(small):
    one, two = small(run_dir="one"), small("train.workers=2", run_dir="two")
    stages.train(one)
    stages.train(two)
    assert losses(one) == pytest.approx(losses(two), rel=1e-4)
    assert Store(one.run_dir).rows("groups.parquet") == Store(two.run_dir).rows("groups.parquet")
    first, second = (Store(config.run_dir).rows("heldout.parquet") for config in (one, two))
    assert [row["logp"] for row in first] == pytest.approx(
        [row["logp"] for row in second], rel=1e-3
    )


@pytest.fixture(scope="module")
def trained(sets, tmp_path_factory):
    from raymode.config_load import load
    from tests.integration.conftest import SMALL

    config = load(
        [*SMALL, f"run_dir={tmp_path_factory.mktemp('trained') / 'run'}", f"sets.path={sets}"]
    )
    stages.train(config)
    return config


def test_vllm_answers_every_request_with_its_own_seed_and_true_log_probability(trained):
    stages.sample(trained)
    store = Store(trained.run_dir)
    rows = store.rows("completions")
    problems = stages.heldout_problems(trained)
    assert [(row["problem_id"], row["index"]) for row in rows] == [
        (problem["problem_id"], index) for problem in problems for index in range(3)
    ]
    assert len({row["seed"] for row in rows}) == len(rows)
    assert len({row["text"] for row in rows}) > len(rows) // 2
    assert {row["weights"] for row in rows} == {
        store.read_json("checkpoint/manifest.json")["content"]
    }
    texts, pairs, greedy, stopped = _again(trained, problems[0]["problem_id"], rows)
    assert texts == [row["text"] for row in rows[:3]]
    for vllm, transformers in pairs:
        assert vllm == pytest.approx(transformers, rel=1e-4)
    temperature, min_p, top_p = greedy  # each keeps the likeliest token alone
    assert temperature.text == min_p.text == top_p.text
    assert min_p.logprob == pytest.approx(temperature.logprob, rel=1e-4)
    word, answer = stopped
    assert answer.text == texts[0][: texts[0].index(word)]
    assert (answer.finish_reason, answer.tokens > 0) == ("stop", True)
    assert answer.logprob > rows[0]["logprob"]


def _again(config, problem_id, rows):
    """Ask a second vLLM the first problem's requests.

    Returns its texts, log P by vLLM and by plain transformers, greedy answers by three ways, and a stopped answer.
    """
    import ray

    from raymode.sample.engine import engine_environment
    from raymode.sample.prompts import Decoding, Request

    prompt = next(
        row["prompt"] for row in stages.heldout_problems(config) if row["problem_id"] == problem_id
    )
    requests = [Request(problem_id, row["index"], (prompt,), row["seed"]) for row in rows[:3]]

    @ray.remote(num_cpus=1, runtime_env={"env_vars": engine_environment(config.sample)})
    def ask(checkpoint):
        import torch
        from transformers import AutoModelForCausalLM
        from vllm import SamplingParams

        from raymode.sample.engine import VllmEngine
        from raymode.template import prompt_ids

        engine = VllmEngine(checkpoint, config.sample)
        model = AutoModelForCausalLM.from_pretrained(checkpoint)
        texts = [completion.text for completion in engine.generate(requests)]
        ids = prompt_ids(engine.tokenizer, prompt)
        pairs = []
        for request in requests:
            parameters = SamplingParams(
                max_tokens=config.sample.max_tokens, seed=request.seed, logprobs=0
            )
            output = engine.llm.generate([{"prompt_token_ids": ids}], parameters, use_tqdm=False)[
                0
            ].outputs[0]
            drawn = list(output.token_ids)
            with torch.no_grad():
                logp_TV = (
                    model(torch.tensor([ids + drawn])).logits[0, len(ids) - 1 : -1].log_softmax(-1)
                )
            pairs.append(
                (
                    output.cumulative_logprob,
                    logp_TV.gather(1, torch.tensor(drawn)[:, None]).sum().item(),
                )
            )
        ways = Decoding("", 0.0), Decoding("", min_p=1.0), Decoding("", top_p=1e-6)
        greedy = engine.generate([dataclasses.replace(requests[0], decoding=way) for way in ways])
        word = texts[0][5:7]
        engine.config = dataclasses.replace(config.sample, stop=(word,))
        return texts, pairs, greedy, (word, engine.generate(requests[:1])[0])

    return ray.get(ask.remote(Store(config.run_dir).path("checkpoint")))


def test_scores_stand_on_every_sampled_problem(trained):
    stages.score(trained)
    store = Store(trained.run_dir)
    judged, scores = store.rows("judged"), store.rows("scores.parquet")
    assert len(judged) == len(store.rows("completions"))
    assert {row["problem_id"] for row in scores} == {row["problem_id"] for row in judged}
    for row in scores:
        own = [one["verdict"] for one in judged if one["problem_id"] == row["problem_id"]]
        assert row["samples"] == 3
        assert row["pass_at_1"] == pytest.approx(own.count("AC") / 3)


def test_a_right_completion_is_accepted_and_a_wrong_one_is_not(trained):
    from raymode.measure.judges import judge_completions
    from raymode.measure.table import score_table

    store = Store(trained.run_dir).child("by-hand")
    problem = stages.heldout_problems(trained)[0]
    solutions = [
        row
        for row in set_table(trained, "solutions").to_pylist()
        if row["problem_id"] == problem["problem_id"]
    ]
    right = [row["code"] for row in solutions if row["verdict"] == "AC"][:2]
    texts = [*right, right[0], "print('no')", "def"]
    completions = [
        {
            "run_id": "r",
            "problem_id": problem["problem_id"],
            "decoding": "direct",
            "index": index,
            "text": text,
        }
        for index, text in enumerate(texts)
    ]
    problems = {problem["problem_id"]: problem}
    judged = judge_completions(completions, problems, solutions, trained, store)
    assert [row["verdict"] for row in judged] == ["AC", "AC", "AC", "WA", "CE"]
    accepted = {
        row["solution_id"]: row["cluster_id"] for row in solutions if row["verdict"] == "AC"
    }
    assert {row["cluster_id"] for row in judged[:3]} <= set(accepted.values())
    (row,) = score_table(completions, judged, problems, solutions, trained.score).to_pylist()
    assert (row["pass_at_1"], row["unique_right"], row["new_clusters"]) == (
        pytest.approx(0.6),
        2,
        0,
    )


def test_a_finished_stage_is_skipped_and_another_configuration_is_refused(trained):
    before = Store(trained.run_dir).read_json("train.json")
    assert stages.train(trained) == before["summary"]
    other = dataclasses.replace(trained, train=dataclasses.replace(trained.train, steps=13))
    with pytest.raises(ConfigError, match=r"train.steps: 12 → 13; choose another run_dir"):
        stages.train(other)


def test_stages_out_of_order_say_what_to_run(small, tmp_path):
    with pytest.raises(
        StorageError, match=r"holds no finished checkpoint; run jobs/train\.py first"
    ):
        stages.sample(small())
    with pytest.raises(StorageError, match=r"holds no finished sets; run jobs/build_sets.py first"):
        stages.train(small(f"sets.path={tmp_path / 'none'}", run_dir="other"))


def test_too_few_prompts_are_named_before_training(small):
    with pytest.raises(DataError, match=r"lower train.prompts"):
        stages.train(small("train.prompts=4000"))


def test_a_sweep_ends_with_rows_figure_and_page_and_again_at_once(small):
    import time

    from raymode.report.sweep import write_report
    from raymode.sweep.run import run_sweep

    config = small(run_dir="sweep")
    rows = run_sweep(config)
    assert [(row["P"], row["K"], row["status"]) for row in rows] == [
        (12, 1, "finished"),
        (6, 2, "finished"),
    ]
    assert all(
        math.isfinite(row["heldout_nll"]) and row["heldout_nll_ci_low"] <= row["heldout_nll"]
        for row in rows
    )
    store = Store(config.run_dir)
    assert store.read_table("runs.parquet").column("run_id").to_pylist() == [
        row["run_id"] for row in rows
    ]
    _, _, sentences = write_report(config, rows)
    assert store.read_bytes("budget.png").startswith(b"\x89PNG")
    assert sentences[0] in store.read_bytes("report.html").decode().replace("&#x27;", "'").replace(
        "&amp;", "&"
    )
    started = time.monotonic()
    assert repr(run_sweep(config)) == repr(rows)  # there are NaNs
    assert time.monotonic() - started < 5
