"""Progress lines of training."""

import time

from raymode.config import Config
from raymode.progress import Standing, tell
from raymode.train.ranks import rank_and_world

PROGRESS_S = 5.0


class Lines:
    """Prints a line every few seconds; called after every update with its number and metrics."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._shown = 0.0
        self._seconds: list[float] = []

    def __call__(self, step: int, steps: int, metrics: dict[str, float]) -> None:
        """Take note of update `step` of `steps`; rank 0 prints how far training is if it is time to."""
        if rank_and_world()[0]:
            return
        self._seconds.append(metrics["step_s"])
        self._warn(metrics)
        now = time.monotonic()
        if now - self._shown < PROGRESS_S and step != steps:
            return
        self._shown = now
        mean = sum(self._seconds) / len(self._seconds)
        train = self._config.train
        label, work_s = self._config.label, sum(self._seconds) * rank_and_world()[1]
        tell(Standing("train", label, "updates", step, steps, 1 / mean, work_s))
        sets = train.responses_per_step / (train.responses + train.wrong_responses)
        heldout = f", held-out {metrics['heldout_nll']:.2f}" if "heldout_nll" in metrics else ""
        mfu = f" MFU {metrics['mfu']:.0%}," if "mfu" in metrics else ""
        print(
            f"train {self._config.label}: update {step}/{steps},"
            f" nll/token {metrics['nll_per_token']:.3f}{heldout},"
            f" {metrics['tokens'] / metrics['step_s']:.0f} response tokens/s, {sets / mean:.1f} sets/s,{mfu}"
            f" {(steps - step) * mean:.0f} s left",
            flush=True,
        )

    def _warn(self, metrics: dict[str, float]) -> None:
        """Say once that right responses are being un-learned, which raw-sum ECO does before it collapses."""
        share = metrics["negative_weight_share"]
        if len(self._seconds) > 1 or share == 0 or self._config.train.loss != "eco":
            return
        print(
            f"warning: train: eco.weight={self._config.eco.weight:g} with eco.reduction={self._config.eco.reduction} gives"
            f" {share:.0%} of the right responses a negative weight: they are un-learned; lower it, or use another"
            " reduction (docs/losses.md)",
            flush=True,
        )
