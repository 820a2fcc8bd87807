"""Verify the completions and score correctness and diversity. python jobs/score.py run_dir=runs/mine [key=value ...]"""

from raymode.config import Config
from raymode.job import main
from raymode.stages import score


def work(config: Config) -> None:
    for name, value in score(config).items():
        print(f"{name}: {value}")
    print(f"scores: {config.run_dir}/scores.parquet")


if __name__ == "__main__":
    main("Verify the completions and score correctness and diversity.", work)
