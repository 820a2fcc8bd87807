"""Run hostile programs and look for what they managed to do: `python -m raymode.sandbox --attacks DIR`.

A folder of attacks holds *.py files and, optionally, manifest.json: a list of {"file", "expect": [statuses],
"inputs": [texts]}. In a source, @CANARY@ is a secret file, @CANARYDIR@ a folder anybody may write to, @PORT@
a listening TCP port and @PID@ a process of this user. A program that prints PWNED says that it got through.
"""

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from raymode.errors import DataError
from raymode.sandbox.interpreter import find_interpreter
from raymode.sandbox.judge import Sandbox
from raymode.sandbox.limits import Limits, Test
from raymode.sandbox.verdict import Status

ATTACK_LIMITS = Limits(cpu_s=1.0, wall_s=2.5, memory_mb=512, output_mb=4)
ATTACK_INPUT = "5 7\nhello\n"
_GOOD = "n = int(input())\nprint(sum(map(int, input().split())))\n"
_GOOD_TEST = Test("3\n1 2 3\n", "6\n")
_SHARED_MEMORY = Path("/dev/shm")


@dataclass(frozen=True)
class Attack:
    """One hostile program."""

    name: str
    source: str
    expect: tuple[str, ...]
    """Statuses it may end with; never AC, which would be a right answer to nothing asked."""
    inputs: tuple[str, ...] = (ATTACK_INPUT,)


@dataclass(frozen=True)
class AttackResult:
    """What came of it; no problems means it was contained."""

    name: str
    statuses: tuple[str, ...]
    problems: tuple[str, ...]


def load_attacks(folder: Path) -> list[Attack]:
    """Read the attacks of `folder` in name order; a description without a program is ignored.

    Raises DataError if there are none, or the descriptions cannot be read.
    """
    manifest = folder / "manifest.json"
    try:
        rows = json.loads(manifest.read_text()) if manifest.exists() else []
        described = {row["file"]: row for row in rows}
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f'{manifest}: expected a list of {{"file", "expect", "inputs"}} ({error})'
        ) from None
    attacks = []
    for path in sorted(folder.glob("*.py")):
        row = described.get(path.name, {})
        expect = tuple(row.get("expect", [s for s in Status if s not in ("AC", "SANDBOX_ERROR")]))
        source = path.read_bytes().decode("utf-8", "surrogateescape")
        attacks.append(Attack(path.name, source, expect, tuple(row.get("inputs", (ATTACK_INPUT,)))))
    if not attacks:
        raise DataError(f"{folder}: no *.py files to run as attacks")
    return attacks


@dataclass
class _Canaries:
    """Things an attack may try to read, reach, change or end."""

    folder: Path
    token: str
    port: int
    process: subprocess.Popen[bytes]
    connections: list[str] = field(default_factory=list)

    def fill_in(self, source: str) -> str:
        for mark, value in (
            ("@CANARY@", str(self.folder / "secret.txt")),
            ("@CANARYDIR@", str(self.folder / "open")),
            ("@PORT@", str(self.port)),
            ("@PID@", str(self.process.pid)),
        ):
            source = source.replace(mark, value)
        return source

    def state(self) -> dict[str, object]:
        """Everything that must be the same before and after; compared as a whole."""
        library = find_interpreter().trees[0]
        return {
            "canary folder": _listing(self.folder) + _listing(self.folder / "open"),
            "standard library": _listing(Path(library)),
            "/dev/shm": sorted(os.listdir(_SHARED_MEMORY)) if _SHARED_MEMORY.is_dir() else [],
            "System V objects": [_read(f"/proc/sysvipc/{name}") for name in ("shm", "sem", "msg")],
            "canary process": (self.process.poll(), _process_state(self.process.pid)),
        }


def _listing(folder: Path) -> list[tuple[object, ...]]:
    entries = [(entry.name, entry.stat(follow_symlinks=False)) for entry in os.scandir(folder)]
    return sorted((name, s.st_mode, s.st_size, s.st_mtime_ns) for name, s in entries)


def _read(path: str) -> list[str]:
    """First columns only: the last ones are times of use."""
    if not os.path.exists(path):
        return []
    with open(path) as lines:
        return [" ".join(line.split()[:2]) for line in lines]


def _process_state(pid: int) -> str:
    with open(f"/proc/{pid}/stat") as stat:
        state = stat.read().rpartition(")")[2].split()[0]
    return "stopped" if state in "Tt" else "running"


@contextmanager
def _canaries() -> Iterator[_Canaries]:
    token = f"CANARY-{secrets.token_hex(8)}"
    with tempfile.TemporaryDirectory(prefix="canary-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "secret.txt").write_text(token)
        (folder / "open").mkdir()
        (folder / "open").chmod(0o777)
        (folder / "open" / "keep").write_text("keep")
        servers = [socket.create_server(("127.0.0.1", 0))]
        for address in (str(folder / "open" / "socket"), "\0raymode-canary-" + token):
            server = socket.socket(socket.AF_UNIX)
            server.bind(address)
            server.listen(8)
            servers.append(server)
        process = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(3600)"])
        canaries = _Canaries(folder, token, servers[0].getsockname()[1], process)
        for server in servers:
            threading.Thread(
                target=_accept, args=(server, canaries.connections), daemon=True
            ).start()
        try:
            yield canaries
        finally:
            for server in servers:
                server.shutdown(socket.SHUT_RDWR)
                server.close()
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait()


def _accept(server: socket.socket, connections: list[str]) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return  # closed: the attacks are over
        connections.append(str(server.family))
        connection.close()


def run_attacks(attacks: list[Attack], level: str | None = None) -> Iterator[AttackResult]:
    """Run `attacks` one after the other in one sandbox at `level` and report on each."""
    with _canaries() as canaries, Sandbox(level=level) as sandbox:
        for attack in attacks:
            statuses, problems = [], []
            for given in attack.inputs:
                status, found = _attack_once(sandbox, canaries, attack, given)
                statuses.append(status)
                problems += found
            yield AttackResult(attack.name, tuple(statuses), tuple(problems))


def _attack_once(
    sandbox: Sandbox, canaries: _Canaries, attack: Attack, given: str
) -> tuple[str, list[str]]:
    before = canaries.state()
    processes = len(sandbox.processes())
    run = sandbox.run(canaries.fill_in(attack.source), given, ATTACK_LIMITS)
    status = run.status
    if status is Status.AC and run.output.split() != [b"12"]:
        status = Status.WA
    problems = (
        []
        if status in attack.expect
        else [f"{status} ({run.message}), not {'/'.join(attack.expect)}"]
    )
    written = run.output + run.error_output
    for mark in ("PWNED", canaries.token):
        if mark.encode() in written:
            line = next(line for line in written.splitlines() if mark.encode() in line)
            problems.append(f"printed {line[:120]!r}")
    after = canaries.state()
    problems += [f"changed: {name}" for name in before if before[name] != after[name]]
    if canaries.connections:
        problems.append(f"connected to {canaries.connections}")
        canaries.connections.clear()
    left = len(sandbox.processes()) - processes
    if left:
        problems.append(f"{left} processes left")
    if run.max_rss_mb > 1.1 * ATTACK_LIMITS.memory_mb:
        problems.append(f"{run.max_rss_mb:.0f} MiB resident")
    good = sandbox.judge(_GOOD, [_GOOD_TEST])
    if good.status is not Status.AC:
        problems.append(f"the next program was judged {good.status} ({good.message})")
    return str(status), problems
