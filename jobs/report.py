"""Write a sweep's figure and page again from its tables: python jobs/report.py run_dir=runs/laptop"""

import dataclasses

from raymode.config import Config
from raymode.config_load import parse
from raymode.job import main
from raymode.report.sweep import print_table, write_report
from raymode.store import Store


def work(config: Config) -> None:
    store = Store(config.run_dir)
    text = store.read_bytes("config.yaml").decode()
    swept = dataclasses.replace(parse(text, f"{store.url}/config.yaml"), run_dir=config.run_dir)
    rows = store.rows("runs.parquet")
    figure, page, sentences = write_report(swept, rows)
    print_table(rows)
    print("\n".join(["", *sentences, "", f"plot:   {figure}", f"report: {page}"]))


if __name__ == "__main__":
    main(
        "Write a sweep's figure and page again from its tables.",
        work,
        needs_ray=lambda config: False,
    )
