"""The answer to a plan: one row per number of nodes and stage, and from how many nodes on what is shared is the limit."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

from raymode.plan.events import Outcome, run_stage
from raymode.plan.load import Plan, Plant, Stage
from raymode.seed import derive_seed

TOTAL = "all"
COLUMNS = ("nodes", "stage", "used", "hours", "cost", "lost %", "failures", "busiest", "busy %")


@dataclass(frozen=True, slots=True)
class Row:
    """The mean of the draws for one stage, or of all stages together."""

    nodes: int
    stage: str
    used: int
    wall_s: float
    cost: float
    lost: float
    """Share of the work that was done in vain, 0 to 1."""
    failures: float
    limit: str
    busy: float


def answer(plan: Plan) -> Iterator[Row]:
    """Yield the rows of each number of nodes, the stages first, then all together with the price of the head."""
    for nodes in plan.nodes:
        rows = [_row(plan, name, stage, nodes) for name, stage in plan.stages.items()]
        yield from rows
        wall = sum(row.wall_s for row in rows)
        longest = max(rows, key=lambda row: row.wall_s)
        cost = sum(row.cost for row in rows) + plan.plant.head_price * wall / 3600
        done = [plan.stages[row.stage].pieces * plan.stages[row.stage].piece_s for row in rows]
        # Slot-seconds of different stages are not of one kind: weighted by what each was to do.
        lost = sum(row.lost * work for row, work in zip(rows, done, strict=True)) / sum(done)
        failures = sum(row.failures for row in rows)
        used = max(row.used for row in rows)
        yield Row(
            nodes, TOTAL, used, wall, cost, lost, failures, longest.stage, longest.wall_s / wall
        )


def _row(plan: Plan, name: str, stage: Stage, nodes: int) -> Row:
    seeds = [derive_seed(plan.seed, "plan", name, nodes, draw) for draw in range(plan.draws)]
    outcomes = [run_stage(stage, plan.plant, nodes, seed) for seed in seeds]
    busy = {key: fmean(one.busy[key] for one in outcomes) for key in outcomes[0].busy}
    limit = max(busy, key=lambda key: busy[key])
    return Row(
        nodes, name, outcomes[0].nodes, _mean(outcomes, "wall_s"), _mean(outcomes, "cost"),
        fmean(one.lost_s / one.work_s for one in outcomes), _mean(outcomes, "failures"), limit, busy[limit],
    )  # fmt: skip


def _mean(outcomes: Sequence[Outcome], name: str) -> float:
    return fmean(getattr(one, name) for one in outcomes)


def saturation(stage: Stage, plant: Plant) -> dict[str, float]:
    """Return from how many nodes on the driver, the storage or the scheduler can follow no more, if there is work enough.

    A node brings slots / (gang · piece_s) pieces a second; the driver serves 1 / (driver_s + files · file_s / at_once). The scheduler
    counts while slots start: with more nodes the last slot is up after the first one has finished a piece.
    """
    per_node = stage.slots / (stage.gang * stage.piece_s)
    driver = plant.driver_s + stage.files * plant.file_s / stage.at_once
    storage = stage.files / plant.storage_requests + stage.megabytes / plant.storage_mb
    start = plant.scheduler_s * stage.slots / stage.gang
    return {
        "driver": 1 / (per_node * driver) if driver else math.inf,
        "storage": 1 / (per_node * storage) if storage else math.inf,
        "scheduler": (plant.boot_s + stage.start_s + stage.piece_s) / start if start else math.inf,
    }


def lines(plan: Plan) -> Iterator[str]:
    """Yield the answer as a Markdown table, then where each stage saturates as another."""
    yield from (_line(COLUMNS), _line(["---"] * len(COLUMNS)))
    for row in answer(plan):
        yield _line(
            [
                f"{row.nodes:,}", row.stage, f"{row.used:,}", _short(row.wall_s / 3600), _short(row.cost),
                f"{100 * row.lost:.1f}", _short(row.failures), row.limit, f"{100 * row.busy:.0f}",
            ]
        )  # fmt: skip
    yield ""
    yield from (
        _line(["saturates from nodes", "driver", "storage", "scheduler"]),
        _line(["---"] * 4),
    )
    for name, stage in plan.stages.items():
        yield _line([name, *(_short(value) for value in saturation(stage, plan.plant).values())])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or value == math.inf else f"{value:.3g}"
