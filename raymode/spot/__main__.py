"""python -m raymode.spot --cloud aws: wait for the cloud's notice, then have Ray drain this machine's node."""

import argparse
import shutil
import sys
import time

from raymode.spot.clouds import Cloud, NoAnswer, Server, cloud_of
from raymode.spot.node import Node, drain, nodes_here, say

METADATA = "169.254.169.254"  # link-local, the same on all three clouds
EVERY_S = 2.0


def main() -> int:
    """Return 0 when Ray drains the node or ended before any notice, 1 if it does not drain, 2 if called wrongly."""
    parser = _parser()
    given = parser.parse_args()
    if shutil.which("ray") is None:
        parser.error("no command `ray` on PATH: call this from the environment that starts Ray")
    found = [node for node in nodes_here() if given.node_id in ("", node.node_id)]
    if len(found) != 1:
        parser.error(
            f"{len(found)} such nodes of Ray on this machine: call this after `ray start`; of several, name one by --node-id"
        )
    (node,) = found
    say(f"asking {given.cloud} at {given.server} every {given.every:g} s for node {node.node_id}")
    left = watch(cloud_of(given.cloud, Server(given.server, given.every)), node, given.every)
    if left is None:
        say("Ray has ended here")
        return 0
    say(f"notice: the machine goes in {left:.0f} s")
    if drain(node, left):
        return 0
    say("Ray does not drain the node: the machine will count as lost without notice")
    return 1


def watch(cloud: Cloud, node: Node, every_s: float) -> float | None:
    """Wait for the notice. Return the seconds until the machine goes, or None when Ray has ended here.

    A server that gives no answer, for however long, is said once and asked on.
    """
    is_silent = False
    while node.runs():
        began = time.monotonic()
        try:
            left = cloud.seconds_left()
        except NoAnswer as problem:
            if not is_silent:
                say(f"no answer from the metadata server ({problem}): going on asking")
            is_silent = True
        else:
            if is_silent:
                say("the metadata server answers again")
            is_silent = False
            if left is not None:
                return left
        time.sleep(max(0.0, began + every_s - time.monotonic()))
    return None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m raymode.spot",
        description="Have Ray drain this machine's node at the cloud's notice.",
    )
    parser.add_argument("--cloud", choices=["aws", "gcp", "azure"], required=True)
    parser.add_argument("--server", default=METADATA, help="the metadata server: HOST or HOST:PORT")
    parser.add_argument(
        "--every",
        type=float,
        default=EVERY_S,
        help="seconds between questions, and at most for an answer",
    )
    parser.add_argument("--node-id", default="", help="which of several nodes on this machine")
    return parser


if __name__ == "__main__":
    sys.exit(main())
