"""What is running, how far and at what cost, as metrics of Ray: for its dashboard, or whatever scrapes its nodes."""

import functools

from ray.util.metrics import Counter, Gauge

from raymode import progress

TAGS = ("stage", "run", "unit")


class Metrics:
    """Takes in how far stages are, and shows it under ray_raymode_*, by stage, run and unit."""

    def __init__(self) -> None:
        self._done = Gauge("raymode_done", "units that are done", TAGS)
        self._total = Gauge("raymode_total", "units that there are to do", TAGS)
        self._rate = Gauge(
            "raymode_per_second", "units done per second, since the stage began", TAGS
        )
        self._work = Counter(
            "raymode_work_seconds", "seconds that its workers have worked, in sum", TAGS
        )
        self._told: dict[tuple[str, ...], float] = {}

    def __call__(self, standing: progress.Standing) -> None:
        """Show how far a stage is."""
        values = (standing.stage, _plain(standing.run), standing.unit)
        tags = dict(zip(TAGS, values, strict=True))
        self._done.set(standing.done, tags)
        self._total.set(standing.total, tags)
        self._rate.set(standing.per_second, tags)
        fresh = standing.work_s - self._told.get(values, 0.0)
        self._told[values] = standing.work_s
        if fresh > 0:  # a stage that begins anew counts from 0
            self._work.inc(fresh, tags)


def _plain(text: str) -> str:
    """Return a text as Ray takes it for a tag, in ASCII."""
    return text.replace("λ", "lambda").encode("ascii", "replace").decode()


@functools.cache
def show_progress() -> None:
    """Have all that this process tells of its progress shown by Ray, which it must be connected to."""
    progress.observe(Metrics())
