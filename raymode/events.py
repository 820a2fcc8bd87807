"""`events.jsonl` of a run directory: one line as a stage starts, is resumed, finishes or fails.

It stands in the run directory because that is what is left when a cluster is gone with its logs. Lines are only added;
who adds them holds the run directory. Nothing reads them but people and their tools.
"""

import contextlib
import datetime
import functools
import json
import os
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

from raymode.config import Config
from raymode.errors import BusyError, ConfigError, StorageError, brief
from raymode.store import Store

NAME = "events.jsonl"
STAGE = "raymode_stage"
P = ParamSpec("P")
R = TypeVar("R")


def record(store: Store, event: str, stage: str, **more: Any) -> None:
    """Add a line: when, what became of which stage, in which run directory, and what else is told."""
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
    line = {"time": now, "event": event, "stage": stage, "run_dir": store.url, **more}
    text = json.dumps(line, ensure_ascii=False) + "\n"
    if store.is_local:
        os.makedirs(store.path(), exist_ok=True)
        with open(store.path(NAME), "a", encoding="utf-8") as file:
            file.write(text)
        return
    before = store.read_bytes(NAME) if store.exists(NAME) else b""
    store.write_bytes(NAME, before + text.encode())


def failures_told(
    stage: str,
) -> Callable[[Callable[Concatenate[Config, P], R]], Callable[Concatenate[Config, P], R]]:
    """Have a stage, a function of the configuration, tell in `events.jsonl` what ends it before its time.

    The error goes on, and `stage_of` tells where it came from. What storage does to the line is not told over it.
    """

    def told(work: Callable[Concatenate[Config, P], R]) -> Callable[Concatenate[Config, P], R]:
        @functools.wraps(work)
        def run(config: Config, /, *args: P.args, **kwargs: P.kwargs) -> R:
            try:
                return work(config, *args, **kwargs)
            except (BusyError, ConfigError):  # nothing was begun
                raise
            except (Exception, KeyboardInterrupt) as error:
                # No note: a traceback's last line is the error's own, by which a sweep's table tells it.
                error.__dict__.setdefault(STAGE, stage)
                event = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
                said = ": ".join(filter(None, (type(error).__name__, brief(error))))
                with contextlib.suppress(OSError, StorageError):
                    record(Store(config.run_dir), event, stage, error=said)
                raise

        return run

    return told


def stage_of(error: BaseException | None) -> str:
    """Return the stage that an error ended, the innermost; "" if none."""
    return str(getattr(error, STAGE, ""))
