"""The files in cluster/: Ray's own schema accepts them, every stage has its nodes, uploads stay small. Nothing is started."""

import re
import shlex
import zipfile
from pathlib import Path
from typing import Any

import pytest
import ray
import yaml
from ray._private import ray_constants
from ray._private.label_utils import validate_node_label_syntax
from ray._private.ray_constants import get_runtime_env_default_excludes
from ray._private.runtime_env.packaging import create_package
from ray.autoscaler._private.constants import RAY_PROCESSES
from ray.autoscaler._private.util import prepare_config, validate_config
from ray.scripts.scripts import drain_node

import raymode
from raymode.config import PLACES
from raymode.config_load import load
from raymode.config_ray import labels_of

ROOT = Path(__file__).resolve().parents[2]
CLUSTER = ROOT / "cluster"
CLOUDS = ("aws", "gcp", "azure")
STAGES = ("verify", "train", "sample")
SPOT = {"verify", "sample"}
DRAINED = "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S"
MIB = 2**20


def _cloud(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((CLUSTER / f"{name}.yaml").read_text())
    return loaded


def _manifest(name: str, kind: str) -> dict[str, Any]:
    documents = yaml.safe_load_all((CLUSTER / f"{name}.yaml").read_text())
    (found,) = [document for document in documents if document["kind"] == kind]
    return dict(found)


def _spec(name: str) -> dict[str, Any]:
    if name == "kuberay-cluster":
        return dict(_manifest(name, "RayCluster")["spec"])
    return dict(_manifest(name, "RayJob")["spec"]["rayClusterSpec"])


def _is_spot(cloud: str, node_config: dict[str, Any]) -> bool:
    if cloud == "aws":
        return node_config.get("InstanceMarketOptions", {}).get("MarketType") == "spot"
    if cloud == "gcp":
        return node_config.get("scheduling", {}).get("provisioningModel") == "SPOT"
    return node_config["azure_arm_parameters"].get("priority") == "Spot"


@pytest.mark.parametrize("cloud", CLOUDS)
def test_ray_accepts_the_cloud_files(cloud: str) -> None:
    validate_config(prepare_config(_cloud(cloud)))


def test_ray_refuses_what_it_does_not_know() -> None:
    config = _cloud("aws")
    config["available_node_types"]["verify"]["label"] = {"raymode/verify": "true"}
    with pytest.raises(Exception, match="label"):
        validate_config(prepare_config(config))


@pytest.mark.parametrize("cloud", CLOUDS)
def test_every_stage_has_nodes_of_its_own(cloud: str) -> None:
    config = _cloud(cloud)
    types = config["available_node_types"]
    assert set(types) == {"head", *STAGES}
    assert config["head_node_type"] == "head"
    assert types["head"]["resources"] == {"CPU": 0}
    assert not _is_spot(cloud, types["head"]["node_config"])
    for stage in STAGES:
        kind = types[stage]
        assert kind["labels"] == {f"raymode/{stage}": "true"}
        assert kind["min_workers"] == 0
        assert _is_spot(cloud, kind["node_config"]) == (stage in SPOT)
        validate_node_label_syntax(kind["labels"])
    for stage in ("train", "sample"):
        assert types[stage]["resources"]["CPU"] == types[stage]["resources"]["GPU"]
        assert types[stage]["docker"]["worker_image"].endswith("-cuda")
    assert sum(types[stage]["max_workers"] for stage in STAGES) == config["max_workers"]


@pytest.mark.parametrize("cloud", CLOUDS)
def test_the_token_is_asked_for_and_the_dashboard_is_not_public(cloud: str) -> None:
    config = _cloud(cloud)
    assert "-e RAY_AUTH_MODE=token" in config["docker"]["run_options"]
    path = "/home/ray/.ray/auth_token"
    assert f"-e RAY_AUTH_TOKEN_PATH={path}" in config["docker"]["run_options"]
    assert config["file_mounts"] == {path: "~/.ray/auth_token"}
    (start,) = [text for text in config["head_start_ray_commands"] if "--head" in text]
    assert "--dashboard-host=127.0.0.1" in start


@pytest.mark.parametrize("cloud", CLOUDS)
def test_workers_listen_for_the_notice_beside_ray(cloud: str) -> None:
    config = _cloud(cloud)
    _, start, listen = config["worker_start_ray_commands"]
    assert "ray start" in start
    words = shlex.split(listen.partition("<")[0])
    assert words[:3] == ["nohup", "setsid", "--fork"]
    assert words[3:] == ["python", "-m", "raymode.spot", "--cloud", cloud]
    # `ray stop` ends what it takes for Ray's; the listener ends by itself.
    assert not any(word in listen for word, _ in RAY_PROCESSES)
    assert not any("raymode.spot" in text for text in config["head_start_ray_commands"])


def test_ray_drains_a_node_as_it_is_asked_to() -> None:
    """The options of a command, and a variable, that Ray makes no promise about."""
    options = {name for option in drain_node.params for name in option.opts}
    assert options >= {
        "--address", "--node-id", "--reason", "--reason-message", "--deadline-remaining-seconds",
    }  # fmt: skip
    assert hasattr(ray_constants, DRAINED)


@pytest.mark.parametrize("name", ["kuberay-cluster", "kuberay-job"])
def test_pods_are_drained_while_they_end(name: str) -> None:
    for group in _spec(name)["workerGroupSpecs"]:
        pod = group["template"]["spec"]
        (container,) = pod["containers"]
        environment = {item["name"]: item["value"] for item in container["env"]}
        grace = pod["terminationGracePeriodSeconds"]
        # Else the pod is gone before the time it named, and counts as lost without notice.
        assert 10 <= float(environment[DRAINED]) <= grace - 10
        assert (grace < 30) == (group["groupName"] in SPOT)


@pytest.mark.parametrize("name", ["kuberay-cluster", "kuberay-job"])
def test_kuberay_manifests(name: str) -> None:
    spec = _spec(name)
    assert spec["rayVersion"] == ray.__version__
    assert spec["authOptions"] == {"mode": "token"}
    assert spec["enableInTreeAutoscaling"] is True
    assert spec["autoscalerOptions"]["version"] == "v2"  # v1 knows no labels
    assert spec["headGroupSpec"]["serviceType"] == "ClusterIP"
    assert spec["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    groups = {group["groupName"]: group for group in spec["workerGroupSpecs"]}
    assert tuple(groups) == STAGES
    for stage, group in groups.items():
        assert group["labels"] == {f"raymode/{stage}": "true"}
        assert group["minReplicas"] == group["replicas"] == 0 < group["maxReplicas"]
    for group in (spec["headGroupSpec"], *groups.values()):
        _check_group(group)


def _check_group(group: dict[str, Any]) -> None:
    start = group["rayStartParams"]
    assert all(isinstance(value, str) for value in start.values()), "KubeRay takes strings only"
    assert "labels" not in start and "resources" not in group, "KubeRay refuses what is said twice"
    assert all(isinstance(value, str) for value in group["labels"].values())
    pod = group["template"]["spec"]
    security = pod["securityContext"]
    assert security["runAsNonRoot"] is True and security["runAsUser"] == 1000
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }
    requests, limits = container["resources"]["requests"], container["resources"]["limits"]
    assert requests == limits and {"cpu", "memory", "ephemeral-storage"} <= set(requests)
    assert int(start["num-cpus"]) <= int(requests["cpu"])
    assert start.get("num-gpus") == requests.get("nvidia.com/gpu")
    memory = int(requests["memory"].removesuffix("Gi")) << 30
    assert int(start["object-store-memory"]) < memory / 4


def test_the_job_has_the_cluster_of_the_other_file() -> None:
    job = _manifest("kuberay-job", "RayJob")
    assert job["apiVersion"] == _manifest("kuberay-cluster", "RayCluster")["apiVersion"]
    assert job["apiVersion"] == "ray.io/v1"
    assert _spec("kuberay-job") == _spec("kuberay-cluster")
    assert job["spec"]["shutdownAfterJobFinishes"] is True
    script = job["spec"]["entrypoint"].split()[1]
    assert (ROOT / "jobs" / Path(script).name).is_file()


@pytest.mark.parametrize("name", [*CLOUDS, "kuberay-cluster"])
def test_labels_that_a_job_asks_for_have_nodes(name: str) -> None:
    arguments = _manifest("kuberay-job", "RayJob")["spec"]["entrypoint"].split()[2:]
    asked = labels_of(load(arguments).ray)
    assert set(asked) == set(PLACES)
    assert f'"{arguments[-1]}"' in (ROOT / "docs" / "cluster.md").read_text()
    if name in CLOUDS:
        kinds = [kind["labels"] for kind in _cloud(name)["available_node_types"].values()]
    else:
        spec = _spec(name)
        kinds = [group["labels"] for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"])]
    for labels in asked.values():
        assert sum(labels.items() <= kind.items() for kind in kinds) == 1


def test_images_are_of_this_version() -> None:
    texts = [path.read_text() for path in (*CLUSTER.glob("*.yaml"), CLUSTER / "Dockerfile")]
    tags = {tag for text in texts for tag in re.findall(r"REGISTRY/raymode:([\w.]+)", text)}
    assert tags == {raymode.__version__}


def test_the_image_runs_as_nobody_special() -> None:
    lines = (CLUSTER / "Dockerfile").read_text().splitlines()
    users = [line.split()[1] for line in lines if line.startswith("USER ")]
    assert users == ["ray"]
    copied = [line.split()[1:-1] for line in lines if line.startswith("COPY ")]
    assert all((ROOT / name).exists() for names in copied for name in names)


def test_a_submitted_working_directory_is_small(tmp_path: Path) -> None:
    """Packed by Ray itself, with our excludes alone: a copy of the tree may come without its .gitignore."""
    excludes = yaml.safe_load((CLUSTER / "runtime_env.yaml").read_text())["excludes"]
    package = tmp_path / "working_dir.zip"
    create_package(
        str(ROOT), package, include_gitignore=False,
        excludes=[*get_runtime_env_default_excludes(), *excludes],
    )  # fmt: skip
    with zipfile.ZipFile(package) as archive:
        names = set(archive.namelist())
        size = sum(entry.file_size for entry in archive.infolist())
    assert package.stat().st_size < 5 * MIB
    assert size < 10 * MIB
    assert {"jobs/sweep_budget.py", "raymode/stages.py", "raymode/configs/laptop.yaml"} <= names
    assert not [name for name in names if name.startswith(("runs/", "docs/", "tests/", ".git/"))]
