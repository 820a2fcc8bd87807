"""The listener for a cloud's notice: real processes and sockets; only `ray` and Ray's own process are others'."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from raymode.spot.clouds import NoAnswer, Server, cloud_of
from raymode.spot.node import Node, nodes_here
from tests.metadata_servers import AZURE_NAME, Metadata, serving

CLOUDS = ("aws", "gcp", "azure")
EVERY_S = 0.5
RAY = """#!/bin/sh
echo "$@" >> {calls}
test -e {refuses} && rm {refuses} && echo no such cluster >&2 && exit 1
exit 0
"""


@pytest.fixture
def metadata() -> Metadata:
    return Metadata()


@pytest.fixture
def host(metadata: Metadata) -> Iterator[str]:
    with serving(metadata) as host:
        yield host


@contextlib.contextmanager
def raylet(node_id: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that looks like Ray's to raymode.spot.

    Its flags have the spelling that Ray itself does not look for: no other test's Ray finds it.
    """
    flags = [f"--node-id={node_id}", "--gcs_address=127.0.0.1:1"]
    command = ["/opt/ray/raylet", "-c", "import time; time.sleep(60)", *flags]
    with subprocess.Popen(command, executable=sys.executable) as process:
        try:
            # Until it is what it is to be, it is a copy of this process.
            while node_id not in {node.node_id for node in nodes_here()}:
                time.sleep(0.01)
            yield process
        finally:
            process.kill()


@pytest.fixture
def node_id() -> str:
    return os.urandom(28).hex()


@pytest.fixture
def ray(node_id: str) -> Iterator[subprocess.Popen[bytes]]:
    with raylet(node_id) as process:
        yield process


class Listener:
    """`python -m raymode.spot` in a process of its own, with a command `ray` that writes down how it was called."""

    def __init__(self, directory: Path, *arguments: str, **environment: str) -> None:
        self._calls, self.refuses = directory / "calls", directory / "refuses"
        command = directory / "bin" / "ray"
        command.parent.mkdir()
        command.write_text(RAY.format(calls=self._calls, refuses=self.refuses))
        command.chmod(0o755)
        path = f"{command.parent}:{os.environ['PATH']}"
        self._said = directory / "said"
        with self._said.open("w") as said:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "raymode.spot", f"--every={EVERY_S}", *arguments],
                env={**os.environ, "PATH": path, **environment}, stderr=said,
            )  # fmt: skip

    @property
    def lines(self) -> list[str]:
        return self._said.read_text().splitlines()

    @property
    def calls(self) -> list[str]:
        return self._calls.read_text().splitlines() if self._calls.exists() else []

    def wait(self) -> int:
        return self.process.wait(20)


Ray = subprocess.Popen[bytes]
Start = Callable[..., Listener]


@pytest.fixture
def listen(tmp_path: Path, node_id: str, host: str) -> Iterator[Start]:
    started: list[Listener] = []

    def start(cloud: str, server: str = host, **environment: str) -> Listener:
        arguments = [f"--cloud={cloud}", f"--server={server}", f"--node-id={node_id}"]
        started.append(Listener(tmp_path, *arguments, **environment))
        return started[-1]

    yield start
    for listener in started:
        listener.process.kill()
        listener.process.wait()


def wait_until(is_so: Callable[[], bool], seconds: float = 20) -> None:
    until = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.02)


def notice(metadata: Metadata, cloud: str, seconds: float) -> None:
    if cloud == "aws":
        metadata.interrupt(seconds)
    elif cloud == "gcp":
        metadata.preempt()
    else:
        metadata.evict(seconds, "another", AZURE_NAME.upper())


@pytest.mark.parametrize(("cloud", "seconds"), [("aws", 120), ("gcp", 30), ("azure", 30)])
def test_a_notice_drains_this_node_once(
    metadata: Metadata, listen: Start, ray: Ray, node_id: str, cloud: str, seconds: int
) -> None:
    listener = listen(cloud)
    wait_until(lambda: len(metadata.asked) >= 3)
    assert listener.process.poll() is None and not listener.calls
    notice(metadata, cloud, seconds)
    assert listener.wait() == 0
    (call,) = listener.calls
    words = call.split()
    assert words[:5] == ["drain-node", "--address", "127.0.0.1:1", "--node-id", node_id]
    assert words[words.index("--reason") + 1] == "DRAIN_NODE_REASON_PREEMPTION"
    # A sixth before the machine's own end, less what it took to hear of it.
    assert seconds * 5 / 6 - 4 <= int(words[-1]) <= seconds * 5 / 6
    assert words[-2] == "--deadline-remaining-seconds"
    assert ray.poll() is None


@pytest.mark.parametrize("cloud", ["aws", "gcp"])
def test_it_ends_with_ray(listen: Start, ray: Ray, cloud: str) -> None:
    listener = listen(cloud)
    wait_until(lambda: bool(listener.lines))
    ray.kill()
    ray.wait()
    assert listener.wait() == 0
    assert not listener.calls and listener.lines[-1].endswith("Ray has ended here")


def test_a_server_that_is_away_is_said_once_and_asked_on(
    metadata: Metadata, listen: Start, ray: object
) -> None:
    with serving(Metadata()) as host:
        port = int(host.split(":")[1])
    listener = listen("aws", host)
    wait_until(lambda: len(listener.lines) == 2)
    time.sleep(3 * EVERY_S)
    assert len(listener.lines) == 2 and "no answer" in listener.lines[1]
    metadata.interrupt(30)
    with serving(metadata, port):
        assert listener.wait() == 0
    assert any("answers again" in line for line in listener.lines) and len(listener.calls) == 1


def test_a_drain_that_fails_is_tried_again(metadata: Metadata, listen: Start, ray: object) -> None:
    listener = listen("aws")
    listener.refuses.touch()
    metadata.interrupt(60)
    assert listener.wait() == 0
    first, second = (int(call.split()[-1]) for call in listener.calls)
    assert 0 < second <= first  # whole seconds
    assert any("ended with 1 (no such cluster); once more" in line for line in listener.lines)


def test_a_proxy_in_the_environment_is_not_asked(
    metadata: Metadata, listen: Start, ray: object
) -> None:
    metadata.interrupt(60)
    assert (
        listen("aws", http_proxy="http://127.0.0.1:9", HTTP_PROXY="http://127.0.0.1:9").wait() == 0
    )


def test_it_says_what_it_lacks(tmp_path: Path, node_id: str) -> None:
    other = os.urandom(28).hex()
    with raylet(node_id), raylet(other):
        listener = Listener(tmp_path, "--cloud=aws")
        assert listener.wait() == 2
    assert "--node-id" in listener.lines[-1]
    command = [sys.executable, "-m", "raymode.spot", "--cloud=aws", f"--node-id={node_id}"]
    empty = tmp_path / "empty"
    empty.mkdir()
    done = subprocess.run(command, env={"PATH": str(empty)}, capture_output=True, text=True)
    assert done.returncode == 2 and "no command `ray`" in done.stderr


@pytest.mark.parametrize("cloud", CLOUDS)
def test_answers_that_are_none(metadata: Metadata, host: str, cloud: str) -> None:
    asked = cloud_of(cloud, Server(host, EVERY_S))
    assert asked.seconds_left() is None
    metadata.status = 503
    with pytest.raises(NoAnswer, match="HTTP 503"):
        asked.seconds_left()
    metadata.status, metadata.hangs = 200, True
    began = time.monotonic()
    with pytest.raises(NoAnswer, match="timed out"):
        asked.seconds_left()
    assert EVERY_S <= time.monotonic() - began < EVERY_S + 3
    metadata.hangs = False
    assert asked.seconds_left() is None
    notice(metadata, cloud, 30)
    left = asked.seconds_left()
    assert left is not None and 27 < left <= 30


@pytest.mark.parametrize("cloud", ["aws", "azure"])
@pytest.mark.parametrize(
    "text", ["", "<html>", "[]", '{"time": "soon"}', '{"Events": 1}', '{"Events": [1]}', '{"action": "stop"}']
)  # fmt: skip
def test_answers_that_make_no_sense(metadata: Metadata, host: str, cloud: str, text: str) -> None:
    asked = cloud_of(cloud, Server(host, EVERY_S))
    assert asked.seconds_left() is None
    metadata.action, metadata.text = {}, text
    with pytest.raises(NoAnswer):
        asked.seconds_left()


def test_amazons_token_is_kept_and_renewed(metadata: Metadata, host: str) -> None:
    asked = cloud_of("aws", Server(host, EVERY_S))
    for _ in range(3):
        assert asked.seconds_left() is None
    assert metadata.tokens == 1
    metadata.tokens += 1  # the one handed out is good no longer
    assert asked.seconds_left() is None
    assert metadata.tokens == 3
    metadata.interrupt(90)
    assert 85 < (asked.seconds_left() or 0) <= 90


def test_google_is_asked_to_wait_for_the_change(metadata: Metadata, host: str) -> None:
    asked = cloud_of("gcp", Server(host, EVERY_S))
    assert asked.seconds_left() is None
    began = time.monotonic()
    assert asked.seconds_left() is None
    assert time.monotonic() - began >= 1.0
    assert metadata.asked[1].endswith("?wait_for_change=true&timeout_sec=1&last_etag=etag/0")
    metadata.preempt()
    assert asked.seconds_left() == 30


def test_azures_events_of_others_are_none(metadata: Metadata, host: str) -> None:
    asked = cloud_of("azure", Server(host, EVERY_S))
    metadata.evict(30, "another")
    metadata.evict(30, AZURE_NAME, kind="Reboot")
    metadata.evict(30, kind="Preempt")
    assert asked.seconds_left() is None
    metadata.evict(30, AZURE_NAME)
    metadata.events[-1]["NotBefore"] = ""  # it has begun
    assert asked.seconds_left() == 0


def test_a_clock_that_is_wrong_makes_no_absurd_deadline(metadata: Metadata, host: str) -> None:
    asked = cloud_of("aws", Server(host, EVERY_S))
    metadata.interrupt(10**6)
    assert asked.seconds_left() == 120
    metadata.interrupt(-(10**6))
    assert asked.seconds_left() == 0


def test_a_node_is_told_by_its_process(ray: Ray, node_id: str) -> None:
    (node,) = [node for node in nodes_here() if node.node_id == node_id]
    assert (node.pid, node.gcs_address) == (ray.pid, "127.0.0.1:1")
    assert node.runs()
    assert not Node(os.getpid(), node.command_line, node_id, "").runs()
    ray.kill()
    wait_until(lambda: not node.runs())  # before anybody waits for it


def test_it_loads_the_standard_library_alone() -> None:
    code = (
        "import sys, raymode.spot.__main__ as _; names = {name.split('.')[0] for name in sys.modules};"
        " print(sorted(names - sys.stdlib_module_names - {'raymode', '__main__'}))"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": os.getcwd()},
    )
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
