"""Build equivalence sets: python jobs/build_sets.py run_dir=runs/mine [key=value ...]"""

from raymode.config import Config
from raymode.job import main
from raymode.stages import build_sets


def work(config: Config) -> None:
    summary = build_sets(config)
    for name, value in summary.items():
        print(f"{name}: {value}")
    print(f"sets: {config.sets_path}")


if __name__ == "__main__":
    main("Build equivalence sets: stream, normalise, dedupe, verify, cluster.", work)
