"""Work handed out to actors: what they may hold, what ends them, and how far a source is read ahead of them."""

import itertools
import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from raymode.config import Config, SetsConfig
from raymode.errors import RaymodeError
from raymode.store import Store
from tests.integration import test_build_sets
from tests.integration.conftest import pickled_by_value
from tests.integration.test_build_sets import double


@pytest.fixture(scope="module", autouse=True)
def by_value(cluster: None) -> Iterator[None]:
    with pickled_by_value(sys.modules[__name__], test_build_sets):
        yield


class Mortal:
    """Ends its own process on some pieces."""

    def work(self, piece: int) -> int:
        if piece < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return piece


def test_an_actor_that_always_dies_is_raymodes_own_error() -> None:
    from raymode.actors import answers

    pieces = {0: 5, 1: -1}
    with pytest.raises(RaymodeError, match=r"^Mortal: gave no answer in 2 attempts \(.*\); see"):
        list(answers(Mortal, (), {"num_cpus": 1}, 1, "work", pieces, retries=1))


class Counted(dict[int, int]):
    """Counts how many pieces were handed out."""

    given = 0

    def __getitem__(self, number: int) -> int:
        self.given += 1
        return super().__getitem__(number)


def test_an_actor_never_has_more_than_two_pieces() -> None:
    from raymode.actors import IN_FLIGHT, answers

    pieces = Counted({number: number for number in range(40)})
    most = 0
    for answered, _ in enumerate(answers(Mortal, (), {"num_cpus": 1}, 2, "work", pieces)):
        most = max(most, pieces.given - answered - 1)
        time.sleep(0.05)  # the second actor takes longer to start than the first works
    assert pieces.given == 40
    assert most == 2 * IN_FLIGHT == 4


def test_actors_that_the_cluster_has_no_room_for_get_no_work() -> None:
    from raymode.actors import answers

    pieces = {number: number for number in range(12)}
    done = answers(Mortal, (), {"num_cpus": 1}, 6, "work", pieces)
    assert dict(done) == pieces


class Slow:
    """Takes long over odd pieces."""

    def work(self, piece: int) -> int:
        time.sleep(60 * (piece % 2))
        return piece


def test_an_actor_with_nothing_left_to_do_gives_its_cpu_back() -> None:
    import ray

    from raymode.actors import answers

    @ray.remote(num_cpus=1)
    def here() -> bool:
        return True

    done = answers(Slow, (), {"num_cpus": 1}, 2, "work", {0: 0, 1: 1})
    assert next(done) == (0, 0)
    assert ray.get(here.remote(), timeout=30)
    done.close()


class Hanging:
    """Hangs on the first piece that any actor is given; leaves a file for each."""

    def __init__(self, directory: str) -> None:
        self.directory = Path(directory)

    def work(self, piece: int) -> int:
        (self.directory / f"{piece}-{os.getpid()}").touch()
        try:
            (self.directory / "hanging").mkdir()
        except FileExistsError:
            return piece
        time.sleep(600)
        return piece


def test_a_piece_whose_actor_hangs_is_asked_of_another_once_nothing_is_left(tmp_path: Path) -> None:
    from raymode.actors import answers

    pieces = {number: number for number in range(5)}
    started = time.monotonic()
    done = list(answers(Hanging, (str(tmp_path),), {"num_cpus": 1}, 2, "work", pieces, hedged=True))
    assert sorted(done) == sorted(pieces.items())  # each once
    assert done[-1][0] == 0  # handed out first, answered last
    assert time.monotonic() - started < 120
    given = sorted(file.name.split("-")[0] for file in tmp_path.glob("*-*"))
    assert given == ["0", "0", "1", "2", "3", "4"]


class Fatal:
    """Dies over piece 0, unless it is the second actor to have it."""

    def __init__(self, directory: str) -> None:
        self.directory = Path(directory)

    def work(self, piece: int) -> int:
        if piece:
            time.sleep(0.2)
            return piece
        mine = (self.directory / "first").exists() is False
        (self.directory / "first").touch()
        if mine:
            time.sleep(2)  # until the other has it too
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(4)
        return piece


def test_a_death_does_not_matter_when_another_actor_has_the_piece(tmp_path: Path) -> None:
    from raymode.actors import answers

    pieces = {number: number for number in range(3)}
    options = {"num_cpus": 1}
    done = answers(Fatal, (str(tmp_path),), options, 2, "work", pieces, retries=0, hedged=True)
    assert dict(done) == pieces


class Frozen:
    """Stops its own process at the first piece that it is given; another process leaves it alone."""

    def __init__(self, directory: str) -> None:
        self.directory = Path(directory)

    def work(self, piece: int) -> int:
        if not (self.directory / "frozen").exists():
            (self.directory / "frozen").touch()
            os.kill(os.getpid(), signal.SIGSTOP)
        return piece


@pytest.mark.slow
def test_the_only_actor_hangs_and_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from raymode import signs
    from raymode.actors import answers

    monkeypatch.setattr(signs, "SILENT_S", 30.0)
    pieces = {number: number for number in range(3)}
    done = answers(Frozen, (str(tmp_path),), {"num_cpus": 1}, 1, "work", pieces, retries=1)
    assert dict(done) == pieces
    assert "Frozen" in (told := capfd.readouterr().err) and "no sign of life for 30 s" in told


class Steady:
    """Works longer on a piece than it may be silent."""

    def work(self, piece: int) -> int:
        time.sleep(45)
        return os.getpid()


@pytest.mark.slow
def test_an_actor_that_works_long_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from raymode import signs
    from raymode.actors import answers

    monkeypatch.setattr(signs, "SILENT_S", 20.0)
    done = dict(answers(Steady, (), {"num_cpus": 1}, 1, "work", {0: 0, 1: 1}, retries=0))
    assert done[0] == done[1]


PROBLEM_BYTES = 1 << 20  # a bundle of its own


@dataclass(frozen=True)
class Endless:
    """Problems for ever, as fast as they are asked for; every one leaves a byte in a file."""

    counter: str
    name: str = "endless"
    programs: int = 0

    def read(self) -> Iterator[Any]:
        tests = [{"input": "2\n" + " " * PROBLEM_BYTES, "output": "4\n"}]
        with open(self.counter, "ab", buffering=0) as file:
            for number in itertools.count():
                yield double(
                    f"{number}", [f"import time; time.sleep(1); print({number})"], tests=tests
                )
                file.write(b".")


@pytest.mark.slow
def test_an_endless_source_is_not_read_ahead_of_slow_judges(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from raymode.sets import stream as module

    monkeypatch.setattr(module, "READ_AHEAD_BYTES", 40 * PROBLEM_BYTES)
    counter = tmp_path / "read"
    config = Config(run_dir=str(tmp_path), sets=SetsConfig(actors=1))
    parts = [Endless(str(counter))]
    stream = module.judge_all(config, Store(config.sets_path), parts, {0: frozenset()})
    ahead = []
    for judged, _ in zip(range(1, 21), stream, strict=False):
        ahead.append(counter.stat().st_size - judged)
    stream.close()
    print(f"problems read ahead: {ahead}")
    # a quarter of the bytes, the blocks on their way in the generator and two at the actor
    assert max(ahead) <= 20
    time.sleep(3)
    size = counter.stat().st_size
    time.sleep(2)
    assert counter.stat().st_size == size  # nobody reads on
