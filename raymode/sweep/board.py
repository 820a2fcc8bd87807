"""What a sweep shows while it runs: a line as each trial starts and ends, and the `runs` table as it stands."""

import sys
import time
from pathlib import Path
from typing import Any

from ray import tune

from raymode import events
from raymode.store import Store
from raymode.sweep.results import Results
from raymode.sweep.rows import failed_row, stopped_row
from raymode.sweep.space import SweepCell
from raymode.sweep.trial import ENDED
from raymode.train.place import free_lost_workers

FREE_EVERY_S = 2.0


class Board(tune.Callback):  # type: ignore[misc]  # Ray ships no types
    """Rewrites the `runs` table as each trial ends and prints what is running, how far, and how long still."""

    def __init__(self, results: Results, todo: int) -> None:
        """todo: how many cells are to be run."""
        self.results, self.todo = results, todo
        self._before = sum(map(results.has_ended, results.planned))
        self.started = self._freed = time.monotonic()
        self.done = 0

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Free what trials that were ended or lost had reserved for their workers: the next ones wait for it."""
        if time.monotonic() - self._freed > FREE_EVERY_S:
            free_lost_workers()
            self._freed = time.monotonic()

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        if self.results.has_ended(trial.config["cell"]):
            return  # it only tells the scheduler what it measured
        event = "resumed" if trial.num_failures else "started"
        self._record(event, trial.config["cell"])
        again = f" again, after {_last_line(trial.error_file)}" if trial.num_failures else ""
        self._say(f"started  {trial.config['cell'].label}{again}")

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        cell, last = trial.config["cell"], trial.last_result
        if self.results.has_ended(cell):
            return
        if ENDED not in last:
            row = stopped_row(cell, last["step"], last[cell.config.sweep.metric])
            Store(cell.config.run_dir).write_json("stopped.json", row)
        self._ended(cell)
        self.results.gather_scores()

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        cell: SweepCell = trial.config["cell"]
        reason = _last_line(trial.error_file)
        Store(cell.config.run_dir).write_json("failed.json", failed_row(cell, reason))
        self._ended(cell)

    def _ended(self, cell: SweepCell) -> None:
        self.done += 1
        row = self.results.ended(cell)
        spent = {name: value for name, value in row.items() if name.endswith("_core_s")}
        self._record(row["status"], cell, **({"error": row["error"]} if row["error"] else spent))
        if row["status"] == "finished":
            self._say(f"finished {cell.label}: {_figures(row)}")
        elif row["status"] == "stopped":
            self._say(f"stopped  {cell.label}: {row['error']}")
        else:
            self._say(f"FAILED   {cell.label}: {row['error']}")

    def _record(self, event: str, cell: SweepCell, **more: Any) -> None:
        """Tell what became of a cell in the sweep's own `events.jsonl`."""
        events.record(self.results.store, event, "cell", run=cell.label, run_id=cell.run_id, **more)

    def _say(self, text: str) -> None:
        elapsed = time.monotonic() - self.started
        left = (
            f", about {elapsed / self.done * (self.todo - self.done):.0f} s left"
            if self.done
            else ""
        )
        done = self._before + self.done
        print(
            f"sweep {done}/{self._before + self.todo} [{elapsed:.0f} s{left}] {text}",
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
