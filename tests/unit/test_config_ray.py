"""`ray.labels`: what it says, what is refused, and that it is no part of what determines a result."""

import pytest
from ray._private.label_utils import validate_label_selector, validate_node_label_syntax

from raymode.config import PLACES
from raymode.config_load import load
from raymode.config_ray import labels_of
from raymode.errors import ConfigError
from raymode.rundir import STAGE_SECTIONS, inputs, run_id


def labels(*texts):
    return labels_of(load([f"ray.labels=[{','.join(texts)}]"]).ray)


def test_a_place_alone_means_the_label_of_the_cluster_files():
    assert labels() == {}
    assert labels(*PLACES) == {place: {f"raymode/{place}": "true"} for place in PLACES}


def test_labels_of_ones_own_are_all_asked_for():
    found = labels("train:pool=a100", "train:ray.io/region=us-west-2", "verify")
    assert found == {
        "train": {"pool": "a100", "ray.io/region": "us-west-2"},
        "verify": {"raymode/verify": "true"},
    }


@pytest.mark.parametrize("text", ["a=b", "x.y/z-1=A_1", f"{'k' * 63}={'v' * 63}", "a-b.c/d=1"])
def test_what_is_taken_ray_takes_too(text):
    ((_, found),) = labels(f"sample:{text}").items()
    validate_node_label_syntax(found)
    assert validate_label_selector(found) is None


@pytest.mark.parametrize(
    "text", ["tran", "score", "", "train:pool", "train:=x", "train:pool=", "train:pool=in(a)", "train:-a=b",
             "train:a=!b", "train:a/b/c=d", f"train:a={'v' * 64}"],
)  # fmt: skip
def test_what_is_no_place_or_label_is_refused(text):
    with pytest.raises(ConfigError, match=r"^ray\.labels: "):
        load([f"ray.labels=['{text}']"])


def test_two_values_of_one_key_are_refused():
    with pytest.raises(ConfigError, match="train asks for two values of pool"):
        labels("train:pool=a", "train:pool=b")


def test_labels_are_no_part_of_a_run():
    plain, placed = load([]), load(["ray.labels=[drive,verify,train,sample]"])
    assert run_id(plain) == run_id(placed)
    for stage in STAGE_SECTIONS:
        assert inputs(plain, stage) == inputs(placed, stage)
