"""Select what to train on, without Ray, for training by torchrun. python jobs/prepare.py run_dir=runs/mine [key=value ...]"""

from raymode.config import Config
from raymode.job import main
from raymode.stages import prepare_training


def work(config: Config) -> None:
    prepare_training(config)
    print(
        "prepared; now: python -m torch.distributed.run --standalone --nproc-per-node N -m raymode.train.loop"
    )
    print(f"with the same keys, among them run_dir={config.run_dir}")


if __name__ == "__main__":
    main(
        "Select what to train on, without Ray, for training by torchrun.",
        work,
        lambda config: False,
    )
