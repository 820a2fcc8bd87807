"""Build equivalence sets: python jobs/build_sets.py run_dir=runs/mine [source=NAME path=FILES] [key=value ...]"""

from typing import Any

from raymode.config import Config
from raymode.job import main
from raymode.stages import build_sets


def work(config: Config) -> None:
    show(build_sets(config))
    print(f"sets: {config.sets_path} (card.html shows them)")


def show(values: dict[str, Any], indent: str = "") -> None:
    """Print one line per value; what is counted by reason, verdict or source is indented."""
    for name, value in values.items():
        if isinstance(value, dict):
            print(f"{indent}{name}:" + ("" if value else " none"))
            show(value, indent + "  ")
        else:
            print(
                f"{indent}{name}: {value:.4g}"
                if isinstance(value, float)
                else f"{indent}{name}: {value}"
            )


if __name__ == "__main__":
    main("Build equivalence sets: stream, normalise, dedupe, verify, cluster.", work)
