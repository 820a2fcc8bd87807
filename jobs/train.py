"""Fine-tune a model on the sets of a run directory. python jobs/train.py run_dir=runs/mine [key=value ...]"""

from raymode.config import Config
from raymode.job import main
from raymode.stages import train


def work(config: Config) -> None:
    for name, value in train(config).items():
        print(f"{name}: {value}")
    print(f"checkpoint: {config.run_dir}/checkpoint")


if __name__ == "__main__":
    main("Fine-tune a model on the sets of a run directory.", work)
