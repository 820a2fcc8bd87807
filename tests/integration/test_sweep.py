"""A sweep's trials in processes of their own and in one: what comes out does not tell which."""

import json

import pytest

from raymode.errors import ConfigError
from raymode.store import Store
from tests.integration.test_road import TIMES

TABLES = (
    "heldout.parquet",
    "completions",
    "judged",
    "scores.parquet",
    "choices.parquet",
    "branching.parquet",
)


@pytest.mark.slow
def test_a_cell_comes_out_the_same_in_one_process_and_in_workers(small):
    from raymode.sweep.run import run_sweep

    runs = {
        how: run_sweep(small(f"ray.in_process={how}", "score.branching=true", run_dir=how))
        for how in ("auto", "never")
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
        manifests = [
            each.read_json("checkpoint/manifest.json")["content"] for each in (first, second)
        ]
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


RATES = 'sweep.space=["train.learning_rate=[3e-3,1e-6,2e-6,3e-6]"]'


@pytest.mark.slow
@pytest.mark.parametrize("how", ["auto", "never"])
def test_cells_that_fall_behind_are_stopped_and_stay_so(small, how, capsys):
    from raymode.sweep.run import run_sweep

    keys = ("sweep.design=plain", RATES, "train.heldout_every=3", "sweep.concurrent=1")
    keys += (f"ray.in_process={how}", "sweep.reduction=2")
    asha = (*keys, "sweep.scheduler=asha")
    rows = run_sweep(small(*asha, run_dir=how))
    assert [row["status"] for row in rows] == ["finished", *3 * ["stopped"]]
    assert all(row["stopped_at"] < 12 and "heldout_nll" in row["error"] for row in rows[1:])
    assert "stopped" in capsys.readouterr().err
    if how == "never":
        return  # what follows takes long with workers, and does not depend on them
    assert repr(run_sweep(small(*asha, run_dir=how))) == repr(rows)
    # Without the scheduler they are to be finished; the one that is finished is left alone.
    again = run_sweep(small(*keys, run_dir=how))
    assert repr({name: again[0][name] for name in rows[0] if name in again[0]}) == repr(
        {name: value for name, value in rows[0].items() if name in again[0]}
    )
    assert [row["status"] for row in again] == 4 * ["finished"]


@pytest.mark.slow
def test_a_search_that_goes_on_chooses_what_it_would_have_chosen(small):
    pytest.importorskip("optuna")
    from raymode.sweep.run import run_sweep

    keys = ("sweep.design=plain", "sweep.search=optuna", "sweep.concurrent=1", "train.steps=4")
    keys += (
        'sweep.space=["train.learning_rate=loguniform(1e-5,1e-2)","train.loss=[nll,eco]",'
        '"eco.weight=uniform(0.1,0.5) if train.loss=eco"]',
    )
    whole = run_sweep(small(*keys, "sweep.draws=12", run_dir="whole"))
    first = run_sweep(small(*keys, "sweep.draws=10", run_dir="parts"))
    second = run_sweep(small(*keys, "sweep.draws=12", run_dir="parts"))
    assert len({row["run_id"] for row in whole}) == 12
    assert repr(second[:10]) == repr(first)
    assert [row["run_id"] for row in second] == [row["run_id"] for row in whole]
    assert {row["loss"] for row in whole} == {"nll", "eco"}
    with pytest.raises(ConfigError, match="another one"):
        run_sweep(small(*keys[:-1], 'sweep.space=["train.learning_rate=uniform(0,1)"]', "sweep.draws=13",
                        run_dir="parts"))  # fmt: skip


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (["sweep.scheduler=asha", "sweep.metric=loss", "train.heldout_every=2"], "sweep.metric"),
        (
            ["sweep.scheduler=asha", "sweep.metric=R", "train.heldout_every=2"],
            "while a cell trains",
        ),
        (["sweep.scheduler=asha"], "train.heldout_every"),
        (
            [
                "sweep.search=optuna",
                "sweep.design=plain",
                "sweep.draws=2",
                "sweep.metric=loss",
                RATES,
            ],
            "'loss'",
        ),
        (["sweep.search=optuna", "sweep.design=plain", RATES], "sweep.draws=1"),
        (["sweep.search=optuna", RATES], "sweep.design=plain"),
        (["sweep.search=grid"], "sweep.search"),
    ],
)
def test_what_cannot_be_searched_or_halted_by_is_refused(small, keys, said):
    from raymode.errors import RaymodeError
    from raymode.sweep.space import cells

    with pytest.raises(RaymodeError, match=said):
        cells(small(*keys))
