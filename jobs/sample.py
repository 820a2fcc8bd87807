"""Draw completions of held-out prompts from the run directory's checkpoint. python jobs/sample.py run_dir=runs/mine [key=value ...]"""

from raymode.config import Config
from raymode.job import main
from raymode.stages import sample


def work(config: Config) -> None:
    for name, value in sample(config).items():
        print(f"{name}: {value}")
    print(f"completions: {config.run_dir}/completions")


if __name__ == "__main__":
    main("Draw completions of held-out prompts from the run directory's checkpoint.", work)
