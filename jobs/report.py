"""Write a sweep's figure and page again from its tables: python jobs/report.py run_dir=runs/laptop"""

from raymode.config import Config
from raymode.job import main
from raymode.report.sweep import print_table, write_report
from raymode.store import Store


def work(config: Config) -> None:
    rows = Store(config.run_dir).rows("runs.parquet")
    figure, page, sentences = write_report(config, rows)
    print_table(rows)
    print("\n".join(["", *sentences, "", f"plot:   {figure}", f"report: {page}"]))


if __name__ == "__main__":
    main("Write a sweep's figure and page again from its tables.", work, needs_ray=False)
