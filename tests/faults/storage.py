"""Storage that fails on demand: a local S3 server behind a gate, and a small disk of its own."""

import contextlib
import os
import secrets
import select
import shutil
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

DISK_MB = 120
SLOW_DOWN = (
    b"HTTP/1.1 503 Slow Down\r\nContent-Type: application/xml\r\nContent-Length: 52\r\nConnection: close\r\n\r\n"
    b"<Error><Code>SlowDown</Code><Message/></Error>      "
)  # fmt: skip


class Gate(socketserver.ThreadingTCPServer):
    """Hands connections on to a server; `mode` says "open", "fail" (503 to whatever comes) or "stall" (no answer)."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, behind: tuple[str, int]) -> None:
        super().__init__(("", 0), _Passage)
        self.behind, self.mode, self.refused = behind, "open", 0

    def disturb(self, mode: str, seconds: float) -> None:
        """Fail or stall for some seconds."""
        self.mode = mode
        time.sleep(seconds)
        self.mode = "open"


class _Passage(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        gate = self.server
        assert isinstance(gate, Gate)
        with contextlib.suppress(OSError), socket.create_connection(gate.behind) as server:
            other = {self.request: server, server: self.request}
            while True:
                ready, _, _ = select.select(list(other), [], [], 0.2)
                if gate.mode == "stall":
                    time.sleep(0.1)
                    continue
                for one in ready:
                    data = one.recv(1 << 16)
                    if not data:
                        return
                    if gate.mode == "fail" and one is self.request:
                        gate.refused += 1
                        self.request.sendall(SLOW_DOWN)
                        return
                    other[one].sendall(data)


@contextlib.contextmanager
def bucket() -> Iterator[tuple[str, Gate, dict[str, str], dict[str, str]]]:
    """Yield the URL of an empty bucket, the gate to its server, and environments that lead past it and through it.

    The latter is for `Nodes`, whose nodes reach this process by another address.
    """
    boto3 = pytest.importorskip("boto3")
    pytest.importorskip("moto.server")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    gate = Gate(("127.0.0.1", port))
    threading.Thread(target=gate.serve_forever, daemon=True).start()
    through = f"http://{{here}}:{gate.server_address[1]}"
    past = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true",
    }  # fmt: skip
    try:
        _wait_for_port(port)
        name = f"bucket-{secrets.token_hex(4)}"
        client = boto3.client(
            "s3", endpoint_url=past["AWS_ENDPOINT_URL"], region_name="us-east-1",
            aws_access_key_id="test", aws_secret_access_key="test",
        )  # fmt: skip
        client.create_bucket(Bucket=name)
        yield f"s3://{name}", gate, past, {**past, "AWS_ENDPOINT_URL": through}
    finally:
        gate.shutdown()
        gate.server_close()
        server.kill()
        server.wait()


def _wait_for_port(port: int) -> None:
    deadline = time.monotonic() + 30
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        assert time.monotonic() < deadline, "moto does not answer"
        time.sleep(0.1)


class Disk:
    """An ext4 file system of its own, which can be filled and frozen."""

    def __init__(self, folder: Path) -> None:
        self.image, self.place = folder / "disk.img", folder / "disk"
        self.ballast = self.place / "ballast"

    def mount(self) -> None:
        self.place.mkdir(parents=True)
        with open(self.image, "wb") as image:
            image.truncate(DISK_MB << 20)
        subprocess.run(["mkfs.ext4", "-q", "-m", "0", self.image], check=True)
        subprocess.run(["mount", "-o", "loop,noatime", self.image, self.place], check=True)

    def unmount(self) -> None:
        # Lazily: namespaces of nodes that have just ended may still hold it.
        subprocess.run(["umount", "-l", self.place], check=True)

    def freeze(self, seconds: float) -> None:
        """Have every write wait for some seconds."""
        subprocess.run(["fsfreeze", "-f", self.place], check=True)
        try:
            time.sleep(seconds)
        finally:
            subprocess.run(["fsfreeze", "-u", self.place], check=True)

    def fill(self) -> None:
        """Leave no room, as another user of the disk may."""
        with self.ballast.open("ab", buffering=0) as file:
            for size in (1 << 20, 1 << 12):
                with contextlib.suppress(OSError):
                    while file.write(bytes(size)):
                        pass

    def leave(self, megabytes: int) -> None:
        """Leave so much room, which is then filled at once."""
        self.fill()
        os.truncate(self.ballast, self.ballast.stat().st_size - (megabytes << 20))
        os.sync()

    def empty(self) -> None:
        self.ballast.unlink(missing_ok=True)


def can_mount() -> bool:
    """Whether this machine lets us have a disk of our own."""
    tools = ("mkfs.ext4", "mount", "fsfreeze")
    return (
        os.geteuid() == 0 and all(map(shutil.which, tools)) and Path("/dev/loop-control").exists()
    )
