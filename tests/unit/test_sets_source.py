"""The embedded source: its parts together are the generator's problems, whatever their size."""

import dataclasses
import pickle

import pytest

from raymode.config import Config, EmbeddedConfig, SetsConfig
from raymode.errors import ConfigError
from raymode.sources import make_source
from raymode.sources.embedded import generate

EMBEDDED = EmbeddedConfig(families=6, problems_per_family=3, heldout_families=1)


def config(per_part: int, seed: int = 0) -> Config:
    return Config(seed=seed, embedded=EMBEDDED, sets=SetsConfig(problems_per_part=per_part))


def test_parts_together_are_all_problems_in_order() -> None:
    expected = list(generate(0, families=6, problems_per_family=3, heldout_families=1))
    for per_part in (1, 4, 100):
        parts = make_source(config(per_part)).partitions()
        assert len(parts) == -(-len(expected) // per_part)
        assert len({part.name for part in parts}) == len(parts)
        assert [row for part in parts for row in part.read()] == expected
        assert [part.programs for part in parts] == [
            sum(len(solutions) for _, solutions in part.read()) for part in parts
        ]


def test_a_part_can_be_sent_to_another_process_and_read_twice() -> None:
    part = make_source(config(4)).partitions()[1]
    other = pickle.loads(pickle.dumps(part))
    assert list(other.read()) == list(part.read())


def test_the_seed_changes_the_problems() -> None:
    one, other = (make_source(config(4, seed)).partitions()[0] for seed in (0, 1))
    assert list(one.read()) != list(other.read())


def test_an_unknown_source_is_named() -> None:
    with pytest.raises(ConfigError, match=r"source='magic'.*'embedded'"):
        make_source(dataclasses.replace(config(4), source="magic"))
