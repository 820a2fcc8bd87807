"""Several Ray nodes on one machine: real heads and raylets, each with resources, labels and an address of its own.

As root with iproute2 every node lives in a network namespace, joined by a bridge that this process is on too. Elsewhere
the nodes share 127.0.0.1. Every node is a session of processes with a directory of its own, so that it can be lost whole.
"""

import contextlib
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.integration.test_sweep_faults import kill_session, members

PORT = 6379
STORE_BYTES = 90 << 20
START_S = 60
_NETWORKS = itertools.count(1)


def has_namespaces() -> bool:
    """Whether nodes can have network namespaces here."""
    return os.geteuid() == 0 and shutil.which("ip") is not None


@dataclass
class Network:
    """A bridge with an address on this side; nodes are joined to it."""

    number: int = field(default_factory=lambda: os.getpid() % 200 * 256 + next(_NETWORKS))
    joined: list[str] = field(default_factory=list)
    namespaced: bool = field(default_factory=has_namespaces)

    @property
    def bridge(self) -> str:
        return f"rm{self.number}"

    @property
    def here(self) -> str:
        """The address of this process, as the nodes see it."""
        return self._address(254) if self.namespaced else "127.0.0.1"

    def _address(self, host: int) -> str:
        return f"10.{self.number // 256 + 1}.{self.number % 256}.{host}"

    def open(self) -> None:
        if self.namespaced:
            _ip("link", "add", self.bridge, "type", "bridge")
            _ip("address", "add", f"{self.here}/24", "dev", self.bridge)
            _ip("link", "set", self.bridge, "up")

    def join(self) -> tuple[str, list[str]]:
        """Return a new node's address and what its commands begin with."""
        if not self.namespaced:
            return "127.0.0.1", []
        name = f"{self.bridge}n{len(self.joined)}"
        self.joined.append(name)
        address, inside = self._address(len(self.joined)), ["ip", "netns", "exec", name]
        # Every node finds its own address under the machine's name, as on a machine of its own: gloo asks for it.
        hosts = Path(f"/etc/netns/{name}/hosts")
        hosts.parent.mkdir(parents=True)
        hosts.write_text(f"127.0.0.1 localhost\n{address} {socket.gethostname()}\n")
        _ip("netns", "add", name)
        _ip("link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name)
        _ip("link", "set", name, "master", self.bridge, "up")
        for words in (
            ["address", "add", f"{address}/24", "dev", "eth0"],
            ["link", "set", "eth0", "up"],
            ["link", "set", "lo", "up"],
        ):
            subprocess.run([*inside, "ip", *words], check=True)
        return address, inside

    def close(self) -> None:
        for name in self.joined:
            _ip("netns", "delete", name)
            shutil.rmtree(f"/etc/netns/{name}")
        if self.namespaced:
            _ip("link", "delete", self.bridge)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


@dataclass
class Node:
    """One node: a session of processes whose leader is `ray start --block`."""

    address: str
    inside: list[str]
    folder: str
    leader: subprocess.Popen[bytes]

    def processes(self) -> dict[int, str]:
        """Return the living processes with their titles."""
        found = {}
        for process in members(self.leader.pid):
            with contextlib.suppress(OSError):
                title = Path(f"/proc/{process}/cmdline").read_bytes()
                found[process] = title.replace(b"\0", b" ").decode(errors="replace").strip()
        return found

    def find(self, *titles: str) -> list[int]:
        """Return the processes whose title begins with, or whose program is, one of these."""
        return [
            process for process, title in self.processes().items()
            if title.startswith(titles) or os.path.basename(title.partition(" ")[0]) in titles
        ]  # fmt: skip

    def kill(self) -> None:
        """SIGKILL the raylet and all that it started; on a head also Ray's global state."""
        kill_session(self.leader.pid)
        self.leader.wait()

    @property
    def log(self) -> str:
        return f"{self.folder}/start.log"


class Nodes:
    """A head without CPUs, and nodes that come and go. Close it, or use it as a context.

    autoscaling: which nodes the head starts and ends by itself, as `ray up` reads it. environment: of all nodes and
    drivers; {here} stands for the address of this process.
    """

    def __init__(
        self, workers: int = 0, autoscaling: Mapping[str, Any] | None = None, **environment: str
    ) -> None:
        self.autoscaling = autoscaling
        self._given = environment
        self._open(workers)

    def _open(self, workers: int) -> None:
        self.network = Network()
        self.nodes: list[Node] = []
        given = {name: text.format(here=self.network.here) for name, text in self._given.items()}
        self.environment = {
            **{name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"},
            "RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0", "OMP_NUM_THREADS": "1", **given,
        }  # fmt: skip
        self.network.open()
        try:
            self.head = self._start(0, {}, {"raymode/drive": "true"}, None)
            for _ in range(workers):
                self.add()
        except BaseException:
            self.close()
            raise

    def restart(self, workers: int) -> "Nodes":
        """Kill all that is left, and start a new cluster."""
        self.close()
        self._open(workers)
        return self

    @property
    def address(self) -> str:
        """What `ray.address` has to be."""
        return f"{self.head.address}:{PORT}"

    def __enter__(self) -> "Nodes":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        for node in self.nodes:
            node.kill()
            shutil.rmtree(node.folder, ignore_errors=True)
        self.nodes.clear()
        self.network.close()

    def add(
        self, cpus: int = 1, gpus: int = 0, resources: Mapping[str, float] | None = None,
        labels: Mapping[str, str] | None = None, before: Sequence[str] = (),
    ) -> Node:  # fmt: skip
        """Start a node and wait until it has joined; `before` stands before its command."""
        return self._start(cpus, resources or {}, labels or {}, self.address, gpus, before)

    def living(self) -> list[Node]:
        """Return the worker nodes whose raylet is there."""
        return [node for node in self.nodes if node is not self.head and node.find("raylet")]

    def known(self) -> list[str]:
        """Return the addresses of the nodes that the head takes for living, its own aside, one for each node."""
        from ray._raylet import GcsClient

        found = GcsClient(address=self.address).get_all_node_info().values()
        return [
            node.node_manager_address for node in found
            if node.state == node.ALIVE and not node.is_head_node
        ]  # fmt: skip

    @contextlib.contextmanager
    def driver(
        self, *command: str, log: Path, node: Node | None = None, **environment: str
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Run a command on the head or another node, in a session of its own; nothing of it is left after the block."""
        with open(log, "ab") as output:
            process = subprocess.Popen(
                [*(node or self.head).inside, *command], env={**self.environment, **environment},
                cwd=Path(__file__).parents[2], start_new_session=True, stdout=output, stderr=output,
            )  # fmt: skip
        try:
            yield process
        finally:
            kill_session(process.pid)
            process.wait()

    def _start(
        self, cpus: int, resources: Mapping[str, float], labels: Mapping[str, str], head: str | None,
        gpus: int = 0, before: Sequence[str] = (),
    ) -> Node:  # fmt: skip
        address, inside = self.network.join()
        folder = tempfile.mkdtemp(prefix="rn")  # short: it is part of the names of sockets
        role = (
            [f"--address={head}"]
            if head
            else ["--head", f"--port={PORT}", "--include-dashboard=false"]
        )
        if self.autoscaling and not head:
            file = Path(folder) / "autoscaling.json"
            provider = {**self.autoscaling["provider"], "gcs_address": f"{address}:{PORT}"}
            file.write_text(json.dumps({**self.autoscaling, "provider": provider}))
            role.append(f"--autoscaling-config={file}")
        command = [
            *inside, *before, sys.executable, "-m", "ray.scripts.scripts", "start", *role, f"--node-ip-address={address}",
            f"--num-cpus={cpus}", f"--num-gpus={gpus}", f"--resources={json.dumps(dict(resources))}",
            f"--labels={','.join(f'{name}={value}' for name, value in labels.items())}",
            f"--object-store-memory={STORE_BYTES}", f"--temp-dir={folder}", "--dashboard-agent-listen-port=0",
            "--min-worker-port=0", "--max-worker-port=0", "--block",
        ]  # fmt: skip
        with open(f"{folder}/start.log", "wb") as log:
            leader = subprocess.Popen(
                command, env=self.environment, start_new_session=True, stdout=log, stderr=log
            )
        node = Node(address, inside, folder, leader)
        self.nodes.append(node)
        _wait_until_started(node)
        return node


def _wait_until_started(node: Node) -> None:
    deadline = time.monotonic() + START_S
    while "Ray runtime started" not in Path(node.log).read_text():
        said = Path(node.log).read_text()[-2000:]
        assert node.leader.poll() is None and time.monotonic() < deadline, f"no node: {said}"
        time.sleep(0.1)


def pause(processes: list[int], resume: bool = False) -> None:
    """SIGSTOP processes, or let them go on."""
    for process in processes:
        os.kill(process, signal.SIGCONT if resume else signal.SIGSTOP)
