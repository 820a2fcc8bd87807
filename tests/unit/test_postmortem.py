"""The command that a post-mortem names, for the ways in which a job is started."""

import shlex

import pytest

from raymode.postmortem import SUBMITTED, go_on

ARGUMENTS = ["jobs/train.py", "run_dir=s3://b/a run", "ray.labels=[train]"]


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    for name in (SUBMITTED, "RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)


def test_a_shell_gives_the_same_arguments():
    assert shlex.split(go_on(ARGUMENTS)) == ["python", *ARGUMENTS]


def test_a_job_on_a_cluster_names_it(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    first, *rest = shlex.split(go_on(ARGUMENTS))
    assert (first, rest) == ("RAY_ADDRESS=10.0.0.1:6379", ["python", *ARGUMENTS])


def test_a_submitted_job_is_submitted_again(monkeypatch):
    """Ray sets RAY_ADDRESS there too: the cluster's own, of no use elsewhere."""
    from ray._private.runtime_env.constants import RAY_JOB_CONFIG_JSON_ENV_VAR

    assert SUBMITTED == RAY_JOB_CONFIG_JSON_ENV_VAR
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    monkeypatch.setenv(SUBMITTED, "{}")
    words = shlex.split(go_on(ARGUMENTS))
    assert words[:3] == ["ray", "job", "submit"] and "RAY_ADDRESS" not in go_on(ARGUMENTS)
    assert words[words.index("--") + 1 :] == ["python", *ARGUMENTS]
