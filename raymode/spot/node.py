"""Ray's node on this machine: where it is, whether it still runs, and having Ray drain it. Linux only."""

import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

# Of the notice: a machine that goes before the deadline told to Ray counts as lost without notice.
KEPT = 5 / 6
TRY_S = 20.0  # for one `ray drain-node`, which imports Ray on a machine that is busy
AGAIN_S = 1.0


class Node(NamedTuple):
    """Ray's process of a node on this machine."""

    pid: int
    command_line: bytes  # tells it apart from a later process with its number
    node_id: str
    gcs_address: str

    def runs(self) -> bool:
        """Return whether it is still there."""
        return _command_line(self.pid) == self.command_line


def nodes_here() -> list[Node]:
    """Return the nodes of Ray on this machine; inside a container, those of the container."""
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]
    return [node for pid in pids if (node := _node(pid, _command_line(pid)))]


def _command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return b""


def _node(pid: int, command_line: bytes) -> Node | None:
    command, *arguments = command_line.decode(errors="replace").split("\0")
    if Path(command).name != "raylet":
        return None
    split = [argument.partition("=") for argument in arguments]
    flags = {name.replace("_", "-"): value for name, _, value in split}  # Ray spells them both ways
    if not {"--node-id", "--gcs-address"} <= set(flags):
        return None
    return Node(pid, command_line, flags["--node-id"], flags["--gcs-address"])


def drain(node: Node, left_s: float) -> bool:
    """Have Ray drain the node of a machine that goes in so many seconds; again until it does. Return whether it did."""
    gone = time.monotonic() + left_s
    is_first = True
    while is_first or (node.runs() and time.monotonic() < gone):
        is_first = False
        deadline_s = max(1, int((gone - time.monotonic()) * KEPT))
        problem = _drain_once(node, deadline_s)
        if not problem:
            say(f"Ray drains node {node.node_id}, deadline in {deadline_s} s")
            return True
        say(f"{problem}; once more")
        time.sleep(AGAIN_S)
    return False


def _drain_once(node: Node, deadline_s: int) -> str:
    """Return "" if Ray accepts, else what was wrong."""
    command = [
        "ray", "drain-node", "--address", node.gcs_address, "--node-id", node.node_id,
        "--reason", "DRAIN_NODE_REASON_PREEMPTION", "--reason-message", "the cloud takes the machine away",
        "--deadline-remaining-seconds", str(deadline_s),
    ]  # fmt: skip
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TRY_S)
    except subprocess.TimeoutExpired:
        return f"ray drain-node took longer than {TRY_S:g} s"
    if done.returncode == 0:
        return ""
    *_, last = ["no output", *(done.stdout + done.stderr).strip().splitlines()]
    return f"ray drain-node ended with {done.returncode} ({last})"


def say(text: str) -> None:
    """Write a line with the time to stderr."""
    print(
        f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} raymode.spot: {text}", file=sys.stderr, flush=True
    )
