"""The training loop: plain torch, the same file on one process or many ranks, CPU or GPU.

Reads `groups.parquet` and `heldout_groups.parquet` of the run directory; writes `metrics.jsonl`, checkpoints to resume
from, the finished `checkpoint` and `heldout.parquet`. Started again, it goes on from the newest whole checkpoint, and
its metrics equal those of a run that was never stopped.
"""

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.distributed as dist

from raymode.config import Config
from raymode.config_load import load
from raymode.errors import DataError, RaymodeError, TrainingError
from raymode.lock import exclusive
from raymode.rundir import finish, finished, open_run
from raymode.seed import derive_seed
from raymode.store import Store
from raymode.train.batching import count_updates, order_of, update_groups
from raymode.train.build import load_base, make_model, pad_id
from raymode.train.checkpoint import FINAL, KEPT, Checkpoints, save_model
from raymode.train.fetched import fetched
from raymode.train.groups import load_groups
from raymode.train.heldout import (
    heldout_metrics,
    heldout_rows,
    likelihoods,
    load_heldout,
    mode_prefixes,
)
from raymode.train.lines import Lines
from raymode.train.objective import Known, Objective, Reference, make_objective
from raymode.train.packages import require_packages
from raymode.train.prepared import BASE, seconds_before, training_summary
from raymode.train.ranks import rank_and_world
from raymode.train.running import running_means
from raymode.train.step import learning_rate, update
from raymode.train.trackers import Trackers

METRICS = "metrics.jsonl"
CPU = torch.device("cpu")
Row = dict[str, float]


def train(
    config: Config,
    store: Store,
    base: str,
    progress: Callable[[int, int, Row], None],
    leaving: Callable[[], frozenset[str]] = frozenset,
) -> None:
    """Fine-tune the model in `base` on the run directory's groups; every rank calls this.

    `progress(update, updates, metrics)` is called after every update, on every rank. `leaving()` is called after every update
    and tells, the same on every rank, which machines of this training are about to be taken away: as soon as there is
    another one, a checkpoint is left. Raises DataError before the first update for data that cannot be trained on,
    TrainingError when the loss stops being finite.
    """
    run = Run(config, store, base)
    announced: frozenset[str] = frozenset()
    while run.done < run.updates and not run.is_stopped:
        metrics = run.step()
        progress(run.done, run.updates, metrics)
        if (machines := leaving()) > announced:
            announced = machines
            run.keep()
    run.finish()


class Run:
    """A training run: what it is made of, and how far it is."""

    def __init__(self, config: Config, store: Store, base: str) -> None:
        settings = config.train
        self.config, self.store = config, store
        self.began = time.perf_counter()
        self.rank, _ = rank_and_world()
        device = torch.device("cuda", torch.cuda.current_device()) if settings.gpu else CPU
        objective = make_objective(config)
        self.tokenizer, causal_lm = load_base(fetched(base))
        self.groups = load_groups(store, self.tokenizer, config)
        self.heldout = load_heldout(store, self.tokenizer, config)
        self.updates = count_updates(self.groups, settings)
        self.prefixes = mode_prefixes(self.tokenizer, settings.mode_tokens)
        if settings.heldout_every and not self.heldout:
            raise DataError(
                f"{store.url}: train.heldout_every measures held-out responses, but the sets have none; build them"
                " with some problems held out, or set it to 0"
            )
        self.model = make_model(causal_lm, config, pad_id(self.tokenizer), objective.token, device)
        self.objective: Objective = objective
        self.known = Known(
            self._reference() if "reference" in objective.needs else None,
            running_means(self.groups, config),
        )
        self.optimizer = torch.optim.AdamW(
            [parameter for parameter in self.model.parameters() if parameter.requires_grad],
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
            betas=(0.9, 0.95),
            fused=True,
        )
        state = self.known.running.state if self.known.running else None
        self.checkpoints = Checkpoints(store, self.model, self.optimizer, state)
        self.trackers = Trackers(config, store, self.rank)
        self.done = self.checkpoints.load()
        self.history = _read_metrics(store, self.done)
        self.model.train()

    @property
    def is_stopped(self) -> bool:
        """Whether `train.patience` held-out measurements went by since the best one."""
        measured = self._measured
        since_best = len(measured) - 1 - measured.index(min(measured)) if measured else 0
        return 0 < self.config.train.patience <= since_best

    def step(self) -> Row:
        """Make the next update, with what is due after it; return its metrics."""
        settings = self.config.train
        metrics = self._update()
        self.done += 1
        logps: list[list[float]] = []
        if settings.heldout_every and self.done % settings.heldout_every == 0:
            began = time.perf_counter()
            logps = self._likelihoods()
            metrics |= heldout_metrics(self.heldout, logps)
            metrics["heldout_s"] = time.perf_counter() - began
        self.history.append({"step": self.done, **metrics})
        self.trackers.write(self.done, metrics)
        if settings.patience and self._is_best():
            self._leave(logps)
        if settings.keep_every and self.done % settings.keep_every == 0:
            name = f"{KEPT}/step-{self.done:06d}"
            save_model(self.store, self.model, self.tokenizer, name, self.config)
        if self.done % settings.checkpoint_every == 0 and self.done < self.updates:
            self._save()
        return metrics

    def keep(self) -> None:
        """Leave a checkpoint of the model as it is now; it is whole when this returns."""
        if self.done < self.updates:
            self.checkpoints.wait()
            if self.done % self.config.train.checkpoint_every:
                self._save()
                self.checkpoints.wait()
            if self.rank == 0:
                print(
                    f"train {self.config.label}: a machine is being taken away;"
                    f" checkpoint after update {self.done}/{self.updates}",
                    flush=True,
                )

    def finish(self) -> None:
        """Write what a finished run leaves behind."""
        self.checkpoints.wait()
        self.trackers.close()
        is_left = self.config.train.patience and self._measured
        began = time.perf_counter()
        logps = [] if is_left else self._likelihoods()
        last = self.history[-1]
        last["heldout_s"] = last.get("heldout_s", 0.0) + time.perf_counter() - began
        self._write_metrics()
        if not is_left:
            self._leave(logps)

    def _update(self) -> Row:
        """Make update `done` and return its metrics; a diverged update leaves its problem ids in `diverged.json`."""
        settings = self.config.train
        rate = learning_rate(self.done, self.updates, settings)
        for parameters in self.optimizer.param_groups:
            parameters["lr"] = rate
        seed = derive_seed(self.config.seed, "train", settings.seed)
        batch = update_groups(self.groups, self.done, order_of(settings), seed)
        started = time.perf_counter()
        try:
            metrics = update(
                self.model, self.optimizer, batch, self.objective, self.config, self.known
            )
        except TrainingError as error:
            problems = [group.problem_id for group in batch]
            self.store.write_json("diverged.json", {"step": self.done + 1, "problems": problems})
            raise TrainingError(
                f"update {self.done + 1}: {error}; see {self.store.url}/diverged.json; try a lower train.learning_rate"
            ) from error
        seconds = time.perf_counter() - started
        tflops = self.model.operations(metrics["model_tokens"], metrics["tokens"]) / seconds / 1e12
        peak = settings.peak_tflops * rank_and_world()[1]
        return {
            **metrics,
            "learning_rate": rate,
            "eco_weight": self.config.eco.weight,
            "step_s": seconds,
            "elapsed_s": time.perf_counter() - self.began,
            "tflops": tflops,
            **({"mfu": tflops / peak} if peak else {}),
        }

    def _likelihoods(self) -> list[list[float]]:
        """Return log P of every held-out response under the model as it is now."""
        return likelihoods(self.model, self.heldout, self.config, self.prefixes)

    @property
    def _measured(self) -> list[float]:
        """What was measured so far of what decides which model is best."""
        name = self.config.train.stop_on
        return [row[name] for row in self.history if name in row]

    def _is_best(self) -> bool:
        """Whether the last update was measured, and is the best so far."""
        measured = self._measured
        return self.config.train.stop_on in self.history[-1] and measured[-1] == min(measured)

    def _leave(self, logps: Sequence[Sequence[float]]) -> None:
        """Write the model as it is now, and its log-probabilities of held-out responses, as the outcome of the run."""
        rows = heldout_rows(self.heldout, logps)
        if self.rank == 0:
            self.store.write_rows("heldout.parquet", "heldout", rows)
        save_model(self.store, self.model, self.tokenizer, FINAL, self.config)

    def _reference(self) -> Reference:
        """Return the log-probabilities of all training responses under the model as it is now, before any update."""
        logps = likelihoods(self.model, self.groups, self.config)
        return {
            (group.problem_id, rank): logp
            for group, values in zip(self.groups, logps, strict=True)
            for rank, logp in zip(group.ranks, values, strict=True)
        }

    def _save(self) -> None:
        """Begin to leave a checkpoint."""
        # Metrics first: a resumed run cuts what its checkpoint has not seen, but cannot invent a gap.
        self._write_metrics()
        self.checkpoints.save(self.done)

    def _write_metrics(self) -> None:
        if self.rank == 0:
            lines = "".join(json.dumps(row) + "\n" for row in self.history)
            self.store.write_bytes(METRICS, lines.encode())


def _read_metrics(store: Store, done: int) -> list[dict[str, Any]]:
    """Return the metrics of the first `done` updates, as the checkpoint's run wrote them."""
    if done == 0 or not store.exists(METRICS):
        return []
    rows = [json.loads(line) for line in store.read_bytes(METRICS).splitlines()]
    return [row for row in rows if row["step"] <= done]


def main(arguments: Sequence[str]) -> None:
    """Train a run directory that `jobs/prepare.py` made ready, on the ranks that torchrun started, without Ray.

    Rank 0 holds the run directory's lock; BusyError if a job or another torchrun does.
    """
    config = load(arguments)
    store = open_run(config)
    first = os.environ.get("RANK", "0") == "0"
    with exclusive(store) if first else contextlib.nullcontext():
        _train_prepared(config, store)


def _train_prepared(config: Config, store: Store) -> None:
    """Do on this rank what `main` says."""
    if finished(store, "train", config) is not None:
        print(f"{store.url}: is trained already")
        return
    if not store.exists(BASE):
        raise DataError(
            f"{store.url}: is not prepared; run jobs/prepare.py with the same keys first"
        )
    require_packages(config)
    if "WORLD_SIZE" in os.environ:
        if config.train.gpu:
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        dist.init_process_group("nccl" if config.train.gpu else "gloo")
    started = time.monotonic() - seconds_before(store)
    train(config, store, store.read_json(BASE)["base"], Lines(config))
    if rank_and_world()[0] == 0:
        summary = {**training_summary(store), "wall_s": time.monotonic() - started}
        finish(store, "train", config, summary)
    if dist.is_initialized():
        dist.barrier()
        dist.destroy_process_group()


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except RaymodeError as error:
        sys.exit(f"error: {error}")
