"""Small configurations of the real road, and one Ray for all tests of this folder."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from raymode.config_load import load

ROOT = Path(__file__).parents[2]
# Small enough for seconds a stage; every part is the real one.
SMALL = (
    "embedded.families=4", "embedded.heldout_families=1", "embedded.problems_per_family=10",
    "embedded.tests_per_problem=10", "embedded.slow_every=40", "sets.problems_per_part=10",
    "train.steps=12", "train.responses_per_step=6", "train.responses=2", "train.prompts=12",
    "train.checkpoint_every=4", "train.warmup_steps=2", "model.width=64", "model.layers=1", "model.vocabulary=320",
    "sample.completions=3", "sample.max_tokens=24", "score.pass_ks=[1,2]",
    "sweep.responses=[1,2]", "sweep.budgets=[12]", "ray.cpus=2",
)  # fmt: skip


def run_job(name, *arguments, timeout=300, check=True, **environment):
    """Run jobs/<name>.py in a process of its own, the way a user does."""
    done = subprocess.run(
        [sys.executable, f"jobs/{name}.py", *arguments],
        cwd=ROOT, capture_output=True, text=True, timeout=timeout, env={**os.environ, **environment},
    )  # fmt: skip
    assert not check or done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done


@contextlib.contextmanager
def pickled_by_value(*modules):
    """Let Ray's workers, which cannot import tests, have what is defined in these modules."""
    from ray import cloudpickle

    for module in modules:
        cloudpickle.register_pickle_by_value(module)
    yield
    for module in modules:
        cloudpickle.unregister_pickle_by_value(module)


@pytest.fixture(scope="session")
def cluster():
    """A local Ray with 2 CPUs, shared by all tests."""
    import ray

    from raymode.cluster import connect

    connect(load(["ray.cpus=2"]).ray)
    yield
    ray.shutdown()


@pytest.fixture(scope="session")
def sets(cluster, tmp_path_factory):
    """A directory of small finished set tables."""
    from raymode.stages import build_sets

    config = load([*SMALL, f"run_dir={tmp_path_factory.mktemp('sets')}"])
    build_sets(config)
    return config.sets_path


@pytest.fixture
def small(sets, tmp_path):
    """Return load() for a fresh run directory over the shared sets, with more arguments."""

    def configured(*arguments, run_dir="run"):
        return load([*SMALL, f"run_dir={tmp_path / run_dir}", f"sets.path={sets}", *arguments])

    return configured
