"""Refuses configurations that cannot work, before Ray starts, naming the key."""

from collections.abc import Sequence
from typing import Any

from raymode.config import (
    ATTENTIONS,
    COMPONENT_GROUPS,
    DESIGNS,
    DTYPES,
    ECO_REDUCTIONS,
    ENGINES,
    HELDOUT_METRICS,
    LOSSES,
    MATCHES,
    ORDERS,
    PACKAGE_NAME,
    PACKINGS,
    SCHEDULES,
    SELECTIONS,
    SIMULATIONS,
    SOURCES,
    SPLITS,
    TINY_MODEL_TOKENS,
    TRACKERS,
    Config,
)
from raymode.config_ray import check_in_process, labels_of
from raymode.config_sample import check_sampling
from raymode.config_training import check_training, whole_groups
from raymode.errors import ConfigError


def check(config: Config) -> None:
    """Raise ConfigError for values and combinations that cannot work, naming the key."""
    train = config.train
    _one_of("source", config.source, SOURCES)
    for split in config.sample.splits:
        _one_of("sample.splits", split, SPLITS)
    if ":" not in train.loss:  # one's own is looked for where it is used
        _one_of("train.loss", train.loss, LOSSES)
    _one_of("train.packing", train.packing, PACKINGS)
    _one_of("train.attention", train.attention, ATTENTIONS)
    _one_of("train.order", train.order, ORDERS)
    _one_of("train.schedule", train.schedule, SCHEDULES)
    _one_of("train.stop_on", train.stop_on, HELDOUT_METRICS)
    _one_of("train.dtype", train.dtype, DTYPES)
    for name in train.log:
        _one_of("train.log", name, TRACKERS)
    _one_of("loss.gem_variant", config.loss.gem_variant, ("linear", "logsigmoid"))
    _one_of("train.selection", train.selection, SELECTIONS)
    _one_of("eco.reduction", config.eco.reduction, ECO_REDUCTIONS)
    _one_of("sample.engine", config.sample.engine, ENGINES)
    _one_of("sandbox.level", config.sandbox.level, ("", "L4", "L3", "L2"))
    _one_of("components.groups", config.components.groups, COMPONENT_GROUPS)
    for name in config.simulate.only:
        _one_of("simulate.only", name, SIMULATIONS)
    _check_packages(config.sandbox.packages)
    _at_least(config)
    _check_source(config)
    _check_values(config)
    check_training(config)
    check_sampling(config)
    _check_scoring(config)
    labels_of(config.ray)
    check_in_process(config)
    if config.model.width % 64:
        raise ConfigError(
            f"model.width={config.model.width}: must be a multiple of 64, the size of an attention head"
        )
    longest = TINY_MODEL_TOKENS if not config.model.name else None
    if longest and max(train.max_tokens, config.sample.max_model_len) > longest:
        raise ConfigError(
            f"train.max_tokens, sample.max_model_len: the tiny model reads at most {longest} tokens; lower them"
        )
    if not config.run_dir:
        raise ConfigError("run_dir: is empty; name a path, s3:// or gs:// URL")


def check_sweep(config: Config) -> None:
    """Raise ConfigError for a sweep whose cells do not come out whole; other jobs need not care."""
    sweep = config.sweep
    _one_of("sweep.design", sweep.design, DESIGNS)
    _one_of("sweep.match", sweep.match, MATCHES)
    for name in sweep.selections:
        _one_of("sweep.selections", name, SELECTIONS)
    _one_of("sweep.search", sweep.search, ("", "optuna"))
    _one_of("sweep.scheduler", sweep.scheduler, ("", "asha"))
    if sweep.scheduler:
        _check_scheduler(config)
    if sweep.search:
        _check_search(config)
    if sweep.match == "tokens" and not config.train.response_tokens:
        raise ConfigError(
            "sweep.match=tokens: set train.response_tokens, which all cells then have"
        )
    if sweep.match != "tokens" and config.train.response_tokens:
        raise ConfigError(
            f"train.response_tokens: sets the updates of each cell, so sweep.match={sweep.match} would not hold;"
            " set sweep.match=tokens"
        )
    if sweep.design in ("budget", "selection"):
        for responses in sweep.responses:
            whole_groups("sweep.responses", responses, config.train)
    if sweep.design == "budget":
        for budget in sweep.budgets:
            for responses in sweep.responses:
                if budget % responses:
                    raise ConfigError(
                        f"sweep.budgets={budget}: is not a multiple of K={responses} in sweep.responses; P = B/K must be whole"
                    )


def _check_scheduler(config: Config) -> None:
    if config.sweep.metric not in HELDOUT_METRICS:
        raise ConfigError(
            f"sweep.scheduler=asha: sweep.metric={config.sweep.metric} is not known while a cell trains; choose one of"
            f" {', '.join(HELDOUT_METRICS)}"
        )
    if not config.train.heldout_every:
        raise ConfigError(
            "sweep.scheduler=asha: cells are compared on held-out responses; set train.heldout_every to the updates"
            " between two measurements"
        )


def _check_search(config: Config) -> None:
    sweep = config.sweep
    if sweep.design != "plain" or len(sweep.seeds) != 1 or not sweep.space:
        raise ConfigError(
            "sweep.search=optuna: chooses the values of sweep.space and nothing else; give sweep.space,"
            " sweep.design=plain and one seed"
        )
    if sweep.draws < 2:
        raise ConfigError(
            f"sweep.draws={sweep.draws}: sweep.search=optuna tries so many cells in all; give two or more, such as 20"
        )


def check_compare(config: Config) -> None:
    """Raise ConfigError for runs that cannot be compared by their names; other jobs need not care."""
    runs, names = config.compare.runs, config.compare.names
    if len(runs) < 2:
        raise ConfigError(
            f"compare.runs: needs two run directories or more, has {len(runs)}; give compare.runs=[runs/a,runs/b]"
        )
    if names and len(names) != len(runs):
        raise ConfigError(
            f"compare.names: has {len(names)} names for {len(runs)} runs; give each one"
        )
    for name, values in (("compare.runs", runs), ("compare.names", names)):
        if len(set(values)) < len(values) or not all(values):
            raise ConfigError(f"{name}: one stands twice or is empty; give each once")


def check_components(config: Config) -> None:
    """Raise ConfigError for groups that can show no variance components; other jobs need not care."""
    asked = config.components
    if asked.prompts == 1:
        raise ConfigError(
            "components.prompts=1: components need two prompts; give more, or 0 for all"
        )
    if asked.groups == "train" and config.train.responses == 1:
        raise ConfigError(
            "components.groups=train: with train.responses=1 nothing varies within a prompt; set components.groups=heldout"
        )


def _at_least(config: Config) -> None:
    """Check the lower bounds of numbers, all in one table."""
    bounds: dict[str, float] = {
        "seed": 0, "read.limit": 0, "read.heldout_fraction": 0, "code_contests.cpu_s": 0.001,
        "code_contests.memory_mb": 16, "code_contests.max_tests": 0, "sets.min_pass_share": 0,
        "embedded.families": 0, "embedded.problems_per_family": 1, "embedded.tests_per_problem": 10,
        "embedded.slow_every": 1, "embedded.heldout_families": 0, "sets.problems_per_part": 1, "sets.actors": 1,
        "sandbox.lanes": 1, "sweep.draws": 1, "sweep.reduction": 2, "sweep.grace": 0,
        "model.vocabulary": 320, "model.width": 64, "model.layers": 1, "train.prompts": 0, "train.responses": 1,
        "train.minimum_responses": 0, "train.diversity_weight": 0, "train.steps": 1, "train.responses_per_step": 1, "train.max_tokens": 8,
        "train.workers": 1, "train.checkpoint_every": 1, "train.max_failures": 0,
        "train.max_preemption_failures": -1, "train.warmup_steps": 0, "train.seed": 0,
        "train.tokens_per_batch": 0, "train.collision_rate": 0, "train.lora_rank": 0, "train.lora_alpha": 0,
        "train.heldout_every": 0, "train.patience": 0, "train.keep_every": 0, "train.min_workers": 0, "train.peak_tflops": 0,
        "loss.beta": 1e-6, "loss.tilt": 0, "loss.uniformity": 0, "loss.samples": 1, "loss.smoothing": 0, "loss.gamma": 0,
        "loss.entropy_weight": 0, "loss.gem_temperature": 1e-6, "loss.sed_top": 1, "loss.tofu_beta": 1e-6,
        "train.mode_tokens": 0, "train.wrong_responses": 0, "eco.running": 0, "loss.gepo_beta": 1e-6,
        "train.learning_rate": 0, "train.clip_norm": 0, "train.weight_decay": 0, "eco.weight": 0,
        "sample.engines": 1, "sample.chunk": 1, "sample.problems": 0, "sample.completions": 1, "sample.temperature": 0,
        "sample.max_tokens": 1, "sample.kv_cache_gb": 0.01, "score.actors": 1, "score.rarefy_to": 1,
        "sweep.concurrent": 0, "train.response_tokens": 0,
        "sweep.cost_prompt": 0, "sweep.cost_response": 0, "sweep.cost_core_hour": 0, "ray.cpus": 0,
        "simulate.repetitions": 0.01, "components.prompts": 0, "components.size": 1,
    }  # fmt: skip
    for name, least in bounds.items():
        value: Any = config
        for part in name.split("."):
            value = getattr(value, part)
        if not value >= least:
            raise ConfigError(f"{name}={value}: must be at least {least:g}")
    for name, values in {"sweep.responses": config.sweep.responses, "sweep.budgets": config.sweep.budgets,
                         "sweep.seeds": config.sweep.seeds,
                         "score.pass_ks": config.score.pass_ks}.items():  # fmt: skip
        if not values:
            raise ConfigError(f"{name}: is empty; give at least one value")
    share = config.sample.gpu_per_engine
    if share < 0 or (share > 1 and share != int(share)):
        raise ConfigError(
            f"sample.gpu_per_engine={share:g}: must be a share of one GPU or a whole number of GPUs"
        )
    for name, value in (
        ("embedded.heldout_fraction", config.embedded.heldout_fraction),
        ("read.heldout_fraction", config.read.heldout_fraction),
    ):
        if not 0 <= value < 1:
            raise ConfigError(f"{name}={value}: must be at least 0 and below 1")
    if config.eco.running > 1:
        raise ConfigError(f"eco.running={config.eco.running}: must be at most 1")
    if config.train.collision_rate > 1:
        raise ConfigError(f"train.collision_rate={config.train.collision_rate}: must be at most 1")
    if config.sets.min_pass_share > 1:
        raise ConfigError(f"sets.min_pass_share={config.sets.min_pass_share}: must be at most 1")


def _check_source(config: Config) -> None:
    """Check that the source has what it needs, and that every split that is sampled will hold problems."""
    if config.source == "embedded":
        if config.path:
            raise ConfigError(f"path={config.path!r}: source=embedded reads no files; set source")
        _check_embedded(config)
        return
    if not config.path:
        raise ConfigError(
            f"path: is empty; source={config.source} needs a file, directory, URL or hf:NAME"
        )


def _check_embedded(config: Config) -> None:
    embedded = config.embedded
    if embedded.families and embedded.heldout_families >= embedded.families:
        raise ConfigError(
            f"embedded.heldout_families={embedded.heldout_families}: leaves nothing to train on of"
            f" embedded.families={embedded.families}"
        )
    empty = {
        "heldout": True,
        "heldout_families": not embedded.heldout_families,
        "heldout_parameters": not embedded.heldout_fraction,
    }
    for split in config.sample.splits:
        if empty.get(split):
            raise ConfigError(
                f"sample.splits: {split!r} will hold no problem; leave it out or raise embedded.*"
            )


def _check_values(config: Config) -> None:
    """Check lists of values: each value once, and within its bounds."""
    sweep, score = config.sweep, config.score
    lists: dict[str, tuple[float, ...]] = {
        "sweep.budgets": sweep.budgets,
        "sweep.responses": sweep.responses,
        "sweep.seeds": sweep.seeds,
        "sweep.eco_weights": sweep.eco_weights,
        "sweep.collision_rates": sweep.collision_rates,
        "score.pass_ks": score.pass_ks,
    }
    for name, values in lists.items():
        least = 1 if name in ("sweep.budgets", "sweep.responses", "score.pass_ks") else 0
        for value in values:
            if value < least:
                raise ConfigError(f"{name}: {value:g} must be at least {least}")
        if len(set(values)) < len(values):
            raise ConfigError(f"{name}: a value stands twice; give each once")
    for k in score.pass_ks:
        if k > config.sample.completions:
            raise ConfigError(
                f"score.pass_ks: pass@{k} needs {k} completions, sample.completions={config.sample.completions}"
            )
    if not sweep.cost_prompt + sweep.cost_response > 0:
        raise ConfigError("sweep.cost_prompt, sweep.cost_response: one of them must be above 0")


def _check_scoring(config: Config) -> None:
    """Check that the model can be run over its completions as it drew them."""
    sample = config.sample
    if not config.score.branching:
        return
    if sample.strategy != "direct" or config.train.mode_tokens:
        raise ConfigError(
            "score.branching: completions are forced upon the model after the prompt alone; it needs"
            " sample.strategy=direct and train.mode_tokens=0"
        )
    if not min(sample.temperatures or (sample.temperature,)) > 0:
        raise ConfigError(
            "score.branching: at temperature 0 a model has one way to go on; sample at another"
        )


def _check_packages(packages: Sequence[str]) -> None:
    """Check names; whether they are installed is for the machine to say where programs run."""
    for name in packages:
        if not PACKAGE_NAME.fullmatch(name):
            raise ConfigError(
                f"sandbox.packages: {name!r} is no name of a package; give names alone, such as [numpy,sympy]"
            )
    if len(set(packages)) < len(packages):
        raise ConfigError("sandbox.packages: a name stands twice; give each once")


def _one_of(name: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        raise ConfigError(
            f"{name}={value!r}: must be one of {', '.join(repr(choice) for choice in choices)}"
        )
