"""What the sweep jobs do: plan the cells, run those that are not finished, and write what the results say."""

import dataclasses
import functools
from typing import Any

from raymode.config import Config
from raymode.job import main
from raymode.lock import exclusive
from raymode.report.sweep import print_cells, print_table, write_report
from raymode.sweep.results import is_complete, results_of
from raymode.sweep.space import SweepCell, cells


def sweep_job(description: str, design: str = "") -> None:
    """Run a sweep job with the design named here, or with `sweep.design`, and exit."""
    main(
        description,
        functools.partial(_work, design),
        needs_ray=lambda config: _needs_ray(_with(design, config)),
    )


def _with(design: str, config: Config) -> Config:
    if not design:
        return config
    return dataclasses.replace(config, sweep=dataclasses.replace(config.sweep, design=design))


def _needs_ray(config: Config) -> bool:
    return not config.sweep.dry_run and not is_complete(config, results_of(config, cells(config)))


def _work(design: str, given: Config) -> int:
    config = _with(design, given)
    planned = cells(config)
    if config.sweep.dry_run:
        print_cells(config, planned, results_of(config, planned).in_order())
        return 0
    rows = _rows(config, planned)
    figures, page, sentences = write_report(config, rows)
    print_table(rows)
    print("\n".join(["", *sentences, "", f"plot:   {figures}", f"report: {page}"]))
    return int(any(row["status"] == "failed" for row in rows))


def _rows(config: Config, planned: list[SweepCell]) -> list[dict[str, Any]]:
    results = results_of(config, planned)
    if is_complete(config, results):
        with exclusive(results.store):
            results.close()
        return results.in_order()
    from raymode.sweep.run import run_sweep

    return run_sweep(config)
