"""What a sweep shows while it runs: a line as each trial starts and ends, and the `runs` table as it stands."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ray import tune

from raymode.store import Store
from raymode.sweep.results import Results
from raymode.sweep.rows import failed_row
from raymode.sweep.space import SweepCell


class Board(tune.Callback):  # type: ignore[misc]  # Ray ships no types
    """Rewrites the `runs` table as each trial ends and prints what is running, how far, and how long still."""

    def __init__(self, results: Results, todo: Sequence[SweepCell]) -> None:
        self.results, self.todo = results, todo
        self.started = time.monotonic()
        self.done = 0

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        again = f" again, after {_last_line(trial.error_file)}" if trial.num_failures else ""
        self._say(f"started  {trial.config['cell'].label}{again}")

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._ended(trial.config["cell"])
        self.results.gather_scores()

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        cell: SweepCell = trial.config["cell"]
        reason = _last_line(trial.error_file)
        Store(cell.config.run_dir).write_json("failed.json", failed_row(cell, reason))
        self._ended(cell)

    def _ended(self, cell: SweepCell) -> None:
        self.done += 1
        row = self.results.ended(cell)
        if row["status"] == "finished":
            self._say(f"finished {cell.label}: {_figures(row)}")
        else:
            self._say(f"FAILED   {cell.label}: {row['error']}")

    def _say(self, text: str) -> None:
        elapsed = time.monotonic() - self.started
        left = (
            f", about {elapsed / self.done * (len(self.todo) - self.done):.0f} s left"
            if self.done
            else ""
        )
        planned = len(self.results.planned)
        done = planned - len(self.todo) + self.done
        print(
            f"sweep {done}/{planned} [{elapsed:.0f} s{left}] {text}",
            file=sys.stderr,
            flush=True,
        )


def _figures(row: dict[str, Any]) -> str:
    return (
        f"held-out NLL {row['heldout_nll']:.2f}, pass@1 {row['pass_at_1']:.3f}"
        f" [{row['pass_at_1_ci_low']:.3f}, {row['pass_at_1_ci_high']:.3f}] on {row['heldout_problems']} problems"
    )


def _last_line(error_file: str | None) -> str:
    """Return the last line of Tune's error file: the exception and its message."""
    if not error_file or not Path(error_file).is_file():
        return "the trial's process was lost"
    lines = [line.strip() for line in Path(error_file).read_text().splitlines() if line.strip()]
    return lines[-1][:500] if lines else "the trial's process was lost"
