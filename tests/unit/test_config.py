"""Configuration: precedence, one-line errors with the nearest key, round trips."""

import dataclasses

import pytest

from raymode import config_load as module
from raymode.config import Config, fingerprint, to_dict, to_yaml
from raymode.config_check import check
from raymode.config_load import help_table, load
from raymode.errors import ConfigError


def test_arguments_win_over_yaml_and_yaml_over_defaults(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("seed: 3\ntrain: {steps: 7, responses: 2}\n")
    config = load([f"config={file}", "train.steps=9"])
    assert (config.seed, config.train.steps, config.train.responses) == (3, 9, 2)
    assert config.train.loss == Config().train.loss


def test_the_resolved_configuration_reads_back_the_same(tmp_path):
    config = load(["sweep.responses=[1,2]", "train.learning_rate=1e-3", "run_dir=/tmp/x"])
    file = tmp_path / "config.yaml"
    file.write_text(to_yaml(config))
    assert load([f"config={file}"]) == config


@pytest.mark.parametrize(
    ("argument", "says"),
    [
        ("train.stpes=3", "unknown key 'train.stpes'; did you mean 'train.steps'"),
        ("trian.steps=3", "did you mean 'train.steps'"),
        ("steps=3", "did you mean 'train.steps'"),
        ("train.steps=many", "train.steps='many': expected an integer"),
        ("train.steps=1.5", "expected an integer"),
        ("train.gpu=maybe", "expected true or false"),
        ("sample.temperature=hot", "expected a number"),
        ("train=3", "train=3: is a group of keys"),
        ("train.steps=0", "train.steps=0: must be at least 1"),
        ("train.responses=5", "must be a multiple of it"),
        ("eco.weight=1", "set train.loss=eco"),
        ("train.loss=ceo", "must be one of 'nll', 'mml'"),
        ("eco.reduction=reference", "set train.loss=eco"),
        ("train.packing=share", "must be one of 'shared', 'padded'"),
        ("train.patience=2", "set train.heldout_every"),
        ("train.stop_on=loss", "train.stop_on='loss': must be one of 'heldout_nll'"),
        ("train.collision_rate=1.5", "must be at most 1"),
        ("sweep.responses=[]", "sweep.responses: is empty"),
        ("model.width=100", "must be a multiple of"),
        ("train.workers=13", "every worker needs one"),
        ("sample.max_tokens=600", "leaves no room for a prompt"),
        ("train.max_tokens=5000", "the tiny model reads at most 4096 tokens"),
        ("sweep.seeds=[0,0]", "sweep.seeds: a value stands twice"),
        ("sweep.budgets=[0]", "sweep.budgets: 0 must be at least 1"),
        ("score.pass_ks=[64]", "pass@64 needs 64 completions"),
        ("sample.splits=[heldout_parameter]", "must be one of"),
        ("source=code_contest", "source='code_contest': must be one of"),
        ("sample.splits=[heldout]", "'heldout' will hold no problem"),
        ("embedded.heldout_families=12", "leaves nothing to train on"),
        ("sample.gpu_per_engine=1.5", "a whole number of GPUs"),
        ("sample.top_p=0", "sample.top_p=0.0: must be above 0"),
        ("run_dir=", "run_dir: is empty"),
        ("config=nowhere.yaml", "there is no such file"),
        ("config=nowhere", "not one of"),
        ("sweep.dry_run", "expected key=value"),
    ],
)
def test_bad_input_is_one_clear_line(argument, says):
    with pytest.raises(ConfigError) as raised:
        load([argument])
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)


def test_every_key_has_a_meaning_and_stands_in_the_help():
    text = help_table()
    for name, field in module._leaves(Config):
        assert field.metadata["help"], name
        assert f"  {name} " in text


def test_fingerprints_differ_with_any_value():
    config = Config()
    other = dataclasses.replace(
        config, train=dataclasses.replace(config.train, steps=config.train.steps + 1)
    )
    assert fingerprint(config) == fingerprint(to_dict(config))
    assert fingerprint(config) != fingerprint(other)


def test_every_shipped_configuration_is_sound():
    check(load([]))


def test_local_paths_are_absolute_because_workers_stand_elsewhere(tmp_path, monkeypatch):
    (tmp_path / "model").mkdir()
    monkeypatch.chdir(tmp_path)
    config = load(["run_dir=here", "sets.path=s3://b/sets", "model.name=model"])
    assert config.run_dir == str(tmp_path / "here")
    assert config.sets.path == "s3://b/sets"
    assert config.model.name == str(tmp_path / "model")
    assert load(["model.name=Org/Model"]).model.name == "Org/Model"


@pytest.mark.parametrize(
    ("argument", "says"),
    [
        ("sweep.budgets=[7]", "P = B/K must be whole"),
        (
            "train.responses_per_step=8",
            "sweep.responses=3: train.responses_per_step=8 must be a multiple",
        ),
    ],
)
def test_only_a_sweep_needs_its_cells_whole(argument, says):
    from raymode.sweep.space import cells

    config = load([argument])
    with pytest.raises(ConfigError, match=says):
        cells(config)
