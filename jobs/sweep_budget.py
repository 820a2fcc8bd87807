"""Buy prompts or responses? python jobs/sweep_budget.py run_dir=runs/laptop [key=value ...]"""

from typing import Any

from raymode.config import Config
from raymode.job import main
from raymode.report.sweep import print_cells, print_table, write_report
from raymode.store import Store
from raymode.sweep.rows import collect, unfinished
from raymode.sweep.space import cells


def work(config: Config) -> int:
    if config.sweep.dry_run:
        print_cells(cells(config))
        return 0
    rows = _rows(config)
    figure, page, sentences = write_report(config, rows)
    print_table(rows)
    print("\n".join(["", *sentences, "", f"plot:   {figure}", f"report: {page}"]))
    return int(any(row["status"] != "finished" for row in rows))


def _rows(config: Config) -> list[dict[str, Any]]:
    planned = cells(config)
    if not unfinished(planned):
        return collect(Store(config.run_dir), planned)
    from raymode.sweep.run import run_sweep

    return run_sweep(config)


if __name__ == "__main__":
    main(
        "Sweep P x K at equal budgets (and λ), fit the variance-budget law, plot it, recommend K.",
        work,
        needs_ray=lambda config: not config.sweep.dry_run and bool(unfinished(cells(config))),
    )
