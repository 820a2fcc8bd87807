"""A sweep's trials in processes of their own and in one: what comes out does not tell which."""

import json

import pytest

from raymode.errors import ConfigError
from raymode.store import Store
from tests.integration.test_road import TIMES

TABLES = ("heldout.parquet", "completions", "judged", "scores.parquet", "choices.parquet")


def test_a_cell_comes_out_the_same_in_one_process_and_in_workers(small):
    from raymode.sweep.run import run_sweep

    runs = {
        how: run_sweep(small(f"ray.in_process={how}", run_dir=how)) for how in ("auto", "never")
    }
    one, many = (
        [{name: value for name, value in row.items() if name not in TIMES} for row in rows]
        for rows in runs.values()
    )
    assert repr(one) == repr(many)  # there are NaNs
    for row in one:
        first, second = (
            Store(small(run_dir=how).run_dir + f"/runs/{row['run_id']}") for how in runs
        )
        for name in TABLES:
            assert repr(first.rows(name)) == repr(second.rows(name))
        manifests = [each.read_json("checkpoint/manifest.json")["content"] for each in (first, second)]
        assert manifests[0] == manifests[1]
        assert first.read_json("score.json")["summary"]["work_s"] > 0
        assert not first.exists("score.seconds.json")


def test_a_stage_counts_the_seconds_of_all_its_sittings(tmp_path):
    from raymode.rundir import Clock

    store = Store(str(tmp_path))
    (tmp_path / "score.seconds.json").write_text(json.dumps({"wall_s": 100.0, "work_s": 7.0}))
    clock = Clock(store, "score")
    clock.work(2.0)
    assert store.read_json("score.seconds.json")["work_s"] == 9.0
    seconds = clock.stop()
    assert seconds["work_s"] == 9.0
    assert 100 < seconds["wall_s"] < 110
    assert not store.exists("score.seconds.json")


@pytest.mark.parametrize("key", ["train.workers=2", "sample.engines=2", "score.actors=2"])
def test_one_process_is_refused_more_than_it_can_do(small, key):
    with pytest.raises(ConfigError, match=key.split("=")[0]):
        small("ray.in_process=always", key)
