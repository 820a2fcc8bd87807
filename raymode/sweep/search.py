"""Searching a sweep's space with Optuna: each cell is chosen by what those before it came to.

All that was chosen and told stands in `search.json`, in order. A driver that goes on tells a new study the same again,
so its next choice is the one the old driver would have made.
"""

from collections import deque
from typing import TYPE_CHECKING, Any

from ray.tune.search import Searcher

from raymode.config import Config
from raymode.errors import ConfigError
from raymode.seed import derive_seed
from raymode.store import Store
from raymode.sweep.axes import Axis, Settings, chosen, read_axis, rounded
from raymode.sweep.metrics import higher_is_better, outcome
from raymode.sweep.results import Results
from raymode.sweep.space import SEARCH, SweepCell, cell_at, to_come

if TYPE_CHECKING:
    import optuna

ATTEMPTS = 100  # choices in a row that were made before: the space is used up


class Search(Searcher):  # type: ignore[misc]  # Ray ships no types
    """Hands Tune the cells that were begun and have not ended, then new ones until there are `sweep.draws`."""

    def __init__(self, config: Config, results: Results) -> None:
        """Raises ConfigError if the directory's search had another space."""
        metric = config.sweep.metric
        self._direction = "maximize" if higher_is_better(metric) else "minimize"
        super().__init__(metric=metric, mode=self._direction[:3])
        self._config, self._results = config, results
        self._axes = [read_axis(text) for text in config.sweep.space]
        self._study = _study(self._direction, derive_seed(config.seed, "search"))
        self._asked: dict[str, optuna.Trial] = {}
        self._told: set[str] = set()
        self._under_way: dict[str, SweepCell] = {}
        self._waiting = deque(results.unfinished())
        self._events: list[dict[str, Any]] = []
        self._replay(results.store)

    @property
    def cells_to_run(self) -> int:
        """How many cells there are to run yet."""
        return len(self._waiting) + to_come(self._config, self._results.planned)

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """Return the next cell for Tune; the name and the answers are Tune's."""
        cell = self._waiting.popleft() if self._waiting else self._new()
        if cell is None:
            return str(Searcher.FINISHED)
        self._under_way[trial_id] = cell
        return {"cell": cell}

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Tell the study what a cell came to, a stopped one where it was stopped."""
        run_id = self._under_way.pop(trial_id).run_id
        value = (result or {}).get(self.metric)
        self._tell(run_id, value)
        self._note({"tell": run_id, "value": value})

    def save(self, checkpoint_path: str) -> None:
        """Leave Tune an empty file: the state is in `search.json`."""
        with open(checkpoint_path, "w"):
            pass

    def restore(self, checkpoint_path: str) -> None:
        """Do nothing: see `save`."""

    def _new(self) -> SweepCell | None:
        if not to_come(self._config, self._results.planned):
            return None
        for _ in range(ATTEMPTS):
            trial = self._study.ask()
            settings = self._choose(trial)
            cell = cell_at(self._config, self._axes, settings)
            if cell.run_id not in self._asked:
                self._asked[cell.run_id] = trial
                self._results.planned.append(cell)
                self._note({"ask": settings})
                return cell
            row = self._results.rows.get(cell.run_id)
            value = outcome(Store(cell.config.run_dir), row, self.metric) if row else None
            self._note({"again": settings, "value": value})
            self._finish(trial, value)
        return None

    def _choose(self, trial: "optuna.Trial") -> Settings:
        return chosen(self._config, self._axes, lambda axis: _value(trial, axis))

    def _replay(self, store: Store) -> None:
        """Ask and tell the study what `search.json` says that the study before it was."""
        for event in store.read_json(SEARCH) if store.exists(SEARCH) else []:
            self._events.append(event)
            if "tell" in event:
                self._tell(event["tell"], event["value"])
                continue
            trial = self._study.ask()
            settings, before = self._choose(trial), event.get("ask", event.get("again"))
            if settings != before:
                raise ConfigError(
                    f"{store.url}/{SEARCH}: has chosen {before}, where this search chooses {settings}: sweep.space, seed or"
                    " the version of optuna is another one; use the former, or a new run_dir"
                )
            if "again" in event:
                self._finish(trial, event["value"])
            else:
                self._asked[cell_at(self._config, self._axes, settings).run_id] = trial

    def _tell(self, run_id: str, value: float | None) -> None:
        """Tell the study a cell's value; one that failed at first, and now did not, is told by another trial."""
        trial = self._asked[run_id]
        if run_id in self._told:
            if value is not None:
                self._study.add_trial(_copy(self._study, trial, value))
            return
        self._told.add(run_id)
        self._finish(trial, value)

    def _finish(self, trial: "optuna.Trial", value: float | None) -> None:
        from optuna.trial import TrialState

        state = TrialState.FAIL if value is None else TrialState.COMPLETE
        self._study.tell(trial, value, state=state)

    def _note(self, event: dict[str, Any]) -> None:
        self._events.append(event)
        self._results.store.write_json(SEARCH, self._events)


def _study(direction: str, seed: int) -> "optuna.Study":
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(seed=seed % 2**32)
    return optuna.create_study(direction=direction, sampler=sampler)


def _value(trial: "optuna.Trial", axis: Axis) -> Any:
    """Return a trial's value on an axis; a list is a choice between its places."""
    if axis.interval:
        low, high = axis.interval
        return rounded(trial.suggest_float(axis.key, low, high, log=axis.is_log))
    place = trial.suggest_categorical(axis.key, list(range(len(axis.values))))
    return axis.values[place]


def _copy(study: "optuna.Study", trial: "optuna.Trial", value: float) -> "optuna.trial.FrozenTrial":
    from optuna.trial import create_trial

    known = study.trials[trial.number]
    return create_trial(params=known.params, distributions=known.distributions, value=value)
