"""A stage that fails: the line in events.jsonl, and an error that is still its own."""

import json
import traceback

import pytest

from raymode.config_load import load
from raymode.events import NAME, failures_told, stage_of


@failures_told("score")
def inner(config):
    raise ValueError("out of luck")


@failures_told("train")
def outer(config):
    inner(config)


def test_an_error_tells_its_innermost_stage_and_ends_its_traceback_itself(tmp_path):
    with pytest.raises(ValueError) as caught:
        outer(load([f"run_dir={tmp_path}"]))
    assert stage_of(caught.value) == "score"
    assert stage_of(ValueError()) == stage_of(None) == ""
    assert traceback.format_exception(caught.value)[-1] == "ValueError: out of luck\n"
    lines = [json.loads(line) for line in (tmp_path / NAME).read_text().splitlines()]
    assert [(line["stage"], line["event"], line["error"]) for line in lines] == [
        ("score", "failed", "ValueError: out of luck"),
        ("train", "failed", "ValueError: out of luck"),
    ]
