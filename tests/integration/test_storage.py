"""Object storage: a real S3 server on this machine holds the run directory."""

import os
import secrets

import pytest

from raymode.config_load import load
from raymode.errors import StorageError
from raymode.rundir import open_run
from raymode.store import Store
from tests.integration.conftest import SMALL, run_job
from tests.integration.test_faults import tables


@pytest.fixture
def bucket(monkeypatch):
    """Return the URL of an empty bucket on a local S3 server."""
    boto3 = pytest.importorskip("boto3")
    server = pytest.importorskip("moto.server").ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    for name, value in {
        "AWS_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    name = f"bucket-{secrets.token_hex(4)}"
    boto3.client("s3", endpoint_url=endpoint).create_bucket(Bucket=name)
    yield f"s3://{name}"
    server.stop()


def test_a_run_directory_in_a_bucket(bucket, tmp_path):
    store = open_run(load([*SMALL, f"run_dir={bucket}/run"]))
    assert store.names() == []  # the probe leaves nothing
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "checkpoint" / "weights").write_bytes(os.urandom(1000))
    store.upload(tmp_path / "checkpoint", "checkpoint")
    local = Store(f"{bucket}/run").download("checkpoint", tmp_path / "copy")
    assert (local / "weights").read_bytes() == (tmp_path / "checkpoint" / "weights").read_bytes()
    store.delete("checkpoint")
    assert not store.exists("checkpoint/manifest.json")


def test_a_bucket_that_is_not_there_is_found_out_at_once(bucket):
    with pytest.raises(StorageError, match="cannot be written"):
        open_run(load([*SMALL, "run_dir=s3://no-such-bucket-here/run"]))


@pytest.mark.slow
def test_a_whole_sweep_in_a_bucket_equals_one_on_disk(bucket, tmp_path):
    run_job("sweep_budget", *SMALL, f"run_dir={bucket}/sweep", timeout=590)
    run_job("sweep_budget", *SMALL, f"run_dir={tmp_path}", timeout=590)
    assert tables(f"{bucket}/sweep") == tables(tmp_path)
    assert Store(f"{bucket}/sweep").read_bytes("budget.png").startswith(b"\x89PNG")


@pytest.mark.slow
def test_sets_built_into_a_bucket_equal_those_on_disk(bucket, sets):
    """By a job with a Ray of its own: the actors write to the bucket too, and need to know where it is."""
    config = load([*SMALL, f"run_dir={bucket}/run"])
    run_job("build_sets", *SMALL, f"run_dir={bucket}/run")
    for table in ("problems", "solutions", "rejected"):
        assert Store(config.sets_path).rows(table) == Store(sets).rows(table)
