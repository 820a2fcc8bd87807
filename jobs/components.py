"""Measure the variance components at a model. python jobs/components.py run_dir=runs/mine [components.checkpoint=base]"""

from typing import Any

from raymode.config import Config
from raymode.config_check import check_components
from raymode.job import main
from raymode.stages import components
from raymode.sweep.components import TABLE, sentences


def work(config: Config) -> None:
    check_components(config)
    print("\n".join(sentences(_measured(config), config)))
    print(f"components: {config.run_dir}/{TABLE}")


def _measured(config: Config) -> dict[str, Any]:
    """Have one task of the cluster measure, with what a training worker has."""
    import ray

    from raymode.actors import own_error
    from raymode.cluster import require, selector

    gpus = int(config.train.gpu)
    where = selector(config.ray, "train")
    require(1, gpus, "jobs/components.py", where)
    task = ray.remote(components).options(num_cpus=1, num_gpus=gpus, label_selector=where)
    try:
        row: dict[str, Any] = ray.get(task.remote(config))
    except ray.exceptions.RayError as error:
        raise own_error(error) or error from error
    return row


if __name__ == "__main__":
    main("Measure the variance components of gradients and losses at a model.", work)
