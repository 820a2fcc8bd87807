"""One frozen dataclass per stage, and `load()`: defaults < YAML < key=value.

Everything that can be known to be wrong before Ray starts is raised here as a ConfigError of one line: an unknown
key (with the nearest right one), a wrong type, an impossible combination.
"""

import dataclasses
import difflib
import hashlib
import json
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from raymode.errors import ConfigError

SOURCES = ("embedded",)
SPLITS = ("train", "heldout_parameters", "heldout_families")
SELECTIONS = ("random",)
LOSSES = ("nll", "eco")
ECO_REDUCTIONS = ("sum", "mean", "residual")
ENGINES = ("vllm", "transformers")
TINY_MODEL_TOKENS = 4096  # positions of the tiny model; they cost nothing


def key(default: Any, help: str) -> Any:
    """Declare a configuration key with its default, unit and meaning."""
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True, slots=True)
class EmbeddedConfig:
    """The embedded generator of problems."""

    families: int = key(0, "how many problem families; 0 = all")
    problems_per_family: int = key(25, "problems per family")
    tests_per_problem: int = key(12, "tests per problem, at least 10")
    slow_every: int = key(
        12, "one problem in so many gets a too slow solution (it costs its CPU limit)"
    )
    heldout_families: int = key(4, "families never trained on")
    heldout_fraction: float = key(0.2, "share of the other families' problems kept for evaluation")


@dataclass(frozen=True, slots=True)
class SetsConfig:
    """Raw solutions -> equivalence sets."""

    path: str = key("", "directory of the set tables; empty = <run_dir>/sets")
    problems_per_part: int = key(20, "problems per part file: the unit of resuming")
    actors: int = key(2, "sandbox actors that verify, one CPU each")


@dataclass(frozen=True, slots=True)
class SandboxConfig:
    """How untrusted programs are isolated."""

    level: str = key("", "L4, L3 or L2; empty = the strongest this host allows")
    allow_unsafe: bool = key(
        False, "run without kernel isolation if none works; every table then says so"
    )


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """The model to fine-tune."""

    name: str = key("", "HF model id or directory; empty = a tiny Llama trained from scratch")
    vocabulary: int = key(1024, "tiny model: BPE vocabulary size, tokens")
    width: int = key(192, "tiny model: hidden size D; a multiple of 64")
    layers: int = key(3, "tiny model: transformer layers")


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """Fine-tuning on groups of one prompt and K responses."""

    prompts: int = key(0, "P: training prompts; 0 = all that have enough responses")
    responses: int = key(4, "K: responses kept per prompt")
    minimum_responses: int = key(0, "use only problems with so many accepted solutions; 0 = K")
    selection: str = key("random", f"how K of N responses are kept: {', '.join(SELECTIONS)}")
    loss: str = key("nll", f"one of {', '.join(LOSSES)}")
    steps: int = key(200, "optimiser updates")
    responses_per_step: int = key(48, "responses in one update, over all workers; a multiple of K")
    learning_rate: float = key(2e-3, "peak AdamW learning rate")
    warmup_steps: int = key(20, "updates of linear warm-up; cosine decay to a tenth follows")
    weight_decay: float = key(0.01, "AdamW weight decay")
    clip_norm: float = key(1.0, "gradient norm above which gradients are scaled down; 0 = off")
    max_tokens: int = key(256, "longest prompt + response, tokens; a longer one is an error")
    seed: int = key(0, "varies selection, order, initial weights and sampling over one set table")
    workers: int = key(1, "Ray Train workers")
    gpu: bool = key(False, "one GPU per worker")
    checkpoint_every: int = key(100, "updates between checkpoints to resume from")
    max_failures: int = key(3, "how often lost workers are replaced before the run fails")


@dataclass(frozen=True, slots=True)
class EcoConfig:
    """ECO: NLL + weight * population variance of the responses' log-probabilities."""

    weight: float = key(
        0.0, "λ: weight of the variance term (both terms are sums over a response's tokens)"
    )
    reduction: str = key(
        "mean", f"what the variance is of: {', '.join(ECO_REDUCTIONS)} (see docs/losses.md)"
    )


@dataclass(frozen=True, slots=True)
class SampleConfig:
    """Drawing completions of held-out prompts."""

    engine: str = key("vllm", f"one of {', '.join(ENGINES)}")
    engines: int = key(1, "engine actors in the pool")
    checkpoint: str = key("", "checkpoint to sample from; empty = <run_dir>/checkpoint")
    splits: tuple[str, ...] = key(
        ("heldout_parameters", "heldout_families"), "splits to draw prompts from"
    )
    problems: int = key(0, "problems per split; 0 = all")
    completions: int = key(16, "n: completions per prompt")
    temperature: float = key(1.0, "sampling temperature")
    top_p: float = key(1.0, "nucleus mass")
    max_tokens: int = key(128, "longest completion, tokens")
    max_model_len: int = key(512, "engine: longest prompt + completion, tokens")
    kv_cache_gb: int = key(1, "vLLM on CPU: key-value cache, GiB")
    gpu_per_engine: float = key(0.0, "GPUs of one engine, may be a fraction")


@dataclass(frozen=True, slots=True)
class ScoreConfig:
    """Verifying completions and scoring them."""

    actors: int = key(1, "sandbox actors, one CPU each")
    pass_ks: tuple[int, ...] = key((1, 4, 16), "k of pass@k")
    rarefy_to: int = key(8, "clusters are compared at so many right completions")


@dataclass(frozen=True, slots=True)
class SweepConfig:
    """The sweep over P x K at equal budgets, and over λ."""

    budgets: tuple[int, ...] = key((480, 240), "budgets B = P*K, in responses")
    responses: tuple[int, ...] = key((1, 2, 3, 6), "values of K")
    eco_weights: tuple[float, ...] = key(
        (), "values of λ, each run at every budget with the largest K"
    )
    seeds: tuple[int, ...] = key((0,), "seeds; each is a full set of cells")
    concurrent: int = key(0, "trials at once; 0 = as many as the cluster's resources allow")
    cost_prompt: float = key(4.0, "cost of acquiring one prompt, in units of cost_response")
    cost_response: float = key(1.0, "cost of acquiring and verifying one response")
    dry_run: bool = key(False, "print the cells and what they need; start nothing")


@dataclass(frozen=True, slots=True)
class RayConfig:
    """The Ray cluster."""

    address: str = key("", "cluster to join; empty = RAY_ADDRESS, else a local one")
    cpus: int = key(0, "CPUs of a local cluster; 0 = all of this machine")


@dataclass(frozen=True, slots=True)
class Config:
    """Everything a job needs; one key per line of `--help`."""

    run_dir: str = key(
        "runs/laptop", "run directory: a path, s3://bucket/prefix or gs://bucket/prefix"
    )
    seed: int = key(0, "root seed; all others derive from it")
    source: str = key("embedded", "where problems come from")
    path: str = key("", "the source's files, where it has any")
    embedded: EmbeddedConfig = EmbeddedConfig()
    sets: SetsConfig = SetsConfig()
    sandbox: SandboxConfig = SandboxConfig()
    model: ModelConfig = ModelConfig()
    train: TrainConfig = TrainConfig()
    eco: EcoConfig = EcoConfig()
    sample: SampleConfig = SampleConfig()
    score: ScoreConfig = ScoreConfig()
    sweep: SweepConfig = SweepConfig()
    ray: RayConfig = RayConfig()

    @property
    def sets_path(self) -> str:
        """Where the set tables are."""
        return self.sets.path or f"{self.run_dir.rstrip('/')}/sets"

    @property
    def label(self) -> str:
        """The run in a few words, for progress lines."""
        train, weight = self.train, self.eco.weight
        loss = f"eco λ={weight:g}" if train.loss == "eco" else train.loss
        return f"P={train.prompts or 'all'} K={train.responses} {loss} seed {train.seed}"


def load(arguments: Sequence[str] = ()) -> Config:
    """Return the configuration of `key=value` arguments over `config=` (a shipped name or a YAML file) over defaults.

    Raises ConfigError for an unknown key, a value of the wrong type or an impossible combination.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    for argument in arguments:
        if "=" not in argument:
            raise ConfigError(f"argument {argument!r}: expected key=value; --help lists the keys")
    try:
        given = OmegaConf.to_container(OmegaConf.from_dotlist(list(arguments)), resolve=True)
    except (OmegaConfBaseException, ValueError) as error:
        raise ConfigError(
            f"arguments: cannot be read as key=value ({_first_line(error)})"
        ) from error
    assert isinstance(given, dict)
    name = given.pop("config", "laptop")
    values = _merge(_read_yaml(str(name)), {str(key): value for key, value in given.items()})
    config: Config = _build(Config, values, "")
    check(config)
    return _absolute(config)


def parse(text: str, name: str) -> Config:
    """Return the configuration in YAML `text`, such as a run's own config.yaml; `name` is for messages."""
    config: Config = _build(Config, _parse_yaml(text, name), "")
    return config


def check(config: Config) -> None:
    """Raise ConfigError for values and combinations that cannot work, naming the key."""
    train, sweep = config.train, config.sweep
    _one_of("source", config.source, SOURCES)
    for split in config.sample.splits:
        _one_of("sample.splits", split, SPLITS)
    _one_of("train.loss", train.loss, LOSSES)
    _one_of("train.selection", train.selection, SELECTIONS)
    _one_of("eco.reduction", config.eco.reduction, ECO_REDUCTIONS)
    _one_of("sample.engine", config.sample.engine, ENGINES)
    _one_of("sandbox.level", config.sandbox.level, ("", "L4", "L3", "L2"))
    _at_least(config)
    _check_embedded(config)
    _check_values(config)
    if config.eco.weight and train.loss != "eco":
        raise ConfigError(
            f"eco.weight={config.eco.weight}: has no effect with train.loss={train.loss}; set train.loss=eco"
        )
    _whole_groups("train.responses", train.responses, train)
    for responses in sweep.responses:
        _whole_groups("sweep.responses", responses, train)
        for budget in sweep.budgets:
            if budget % responses:
                raise ConfigError(
                    f"sweep.budgets={budget}: is not a multiple of K={responses} in sweep.responses; P = B/K must be whole"
                )
    if config.model.width % 64:
        raise ConfigError(
            f"model.width={config.model.width}: must be a multiple of 64, the size of an attention head"
        )
    longest = TINY_MODEL_TOKENS if not config.model.name else None
    if longest and max(train.max_tokens, config.sample.max_model_len) > longest:
        raise ConfigError(
            f"train.max_tokens, sample.max_model_len: the tiny model reads at most {longest} tokens; lower them"
        )
    if config.sample.max_model_len <= config.sample.max_tokens:
        raise ConfigError(
            f"sample.max_tokens={config.sample.max_tokens}: leaves no room for a prompt in"
            f" sample.max_model_len={config.sample.max_model_len}; lower it or raise that"
        )
    if not config.run_dir:
        raise ConfigError("run_dir: is empty; name a path, s3:// or gs:// URL")


def to_dict(config: Any) -> dict[str, Any]:
    """Return a configuration as nested plain dicts and lists, fit for YAML and JSON."""
    return json.loads(json.dumps(dataclasses.asdict(config)))  # type: ignore[no-any-return]


def to_yaml(config: Config) -> str:
    """Return the resolved configuration as YAML; `config=FILE` reads it back."""
    from omegaconf import OmegaConf

    return OmegaConf.to_yaml(OmegaConf.create(to_dict(config)))


def fingerprint(value: Any, length: int = 12) -> str:
    """Return a short hash of a configuration or any JSON value."""
    plain = to_dict(value) if dataclasses.is_dataclass(value) else value
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:length]


def help_table() -> str:
    """Return one line per key: name, default, meaning."""
    rows = [(name, repr(item.default), item.metadata["help"]) for name, item in _leaves(Config)]
    width = max(len(name) for name, _, _ in rows)
    return "\n".join(f"  {name:<{width}}  {meaning} [{default}]" for name, default, meaning in rows)


def _leaves(cls: type, prefix: str = "") -> list[tuple[str, dataclasses.Field[Any]]]:
    found: list[tuple[str, dataclasses.Field[Any]]] = []
    for item in dataclasses.fields(cls):
        if isinstance(item.type, type) and dataclasses.is_dataclass(item.type):
            found += _leaves(item.type, f"{prefix}{item.name}.")
        else:
            found.append((prefix + item.name, item))
    return found


def _read_yaml(name: str) -> dict[str, Any]:
    if name.endswith((".yaml", ".yml")):
        file = Path(name)
        if not file.is_file():
            raise ConfigError(f"config={name}: there is no such file")
        text = file.read_text()
    else:
        shipped = resources.files("raymode") / "configs"
        names = sorted(
            entry.name.removesuffix(".yaml")
            for entry in shipped.iterdir()
            if entry.name.endswith(".yaml")
        )
        if name not in names:
            raise ConfigError(f"config={name}: not a YAML file and not one of {', '.join(names)}")
        text = (shipped / f"{name}.yaml").read_text()
    return _parse_yaml(text, f"config={name}")


def _parse_yaml(text: str, name: str) -> dict[str, Any]:
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    try:
        values = OmegaConf.to_container(OmegaConf.create(text), resolve=True)
    except (OmegaConfBaseException, YAMLError, ValueError) as error:
        raise ConfigError(f"{name}: not valid YAML ({_first_line(error)})") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{name}: expected keys and values")
    return {str(key): value for key, value in values.items()}


def _absolute(config: Config) -> Config:
    """Return `config` with local paths made absolute: Ray's workers have another working directory."""

    def path(text: str, only_existing: bool = False) -> str:
        if not text or "://" in text or (only_existing and not Path(text).expanduser().is_dir()):
            return text
        return str(Path(text).expanduser().absolute())

    return dataclasses.replace(
        config,
        run_dir=path(config.run_dir),
        path=path(config.path, only_existing=True),
        sets=dataclasses.replace(config.sets, path=path(config.sets.path)),
        sample=dataclasses.replace(config.sample, checkpoint=path(config.sample.checkpoint)),
        # A name that is no directory here is one on a hub.
        model=dataclasses.replace(config.model, name=path(config.model.name, only_existing=True)),
    )


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for name, value in over.items():
        old = merged.get(name)
        merged[name] = (
            _merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
        )
    return merged


def _build(cls: type, values: Mapping[str, Any], prefix: str) -> Any:
    fields = {item.name: item for item in dataclasses.fields(cls)}
    arguments: dict[str, Any] = {}
    for name, value in values.items():
        full = prefix + name
        if name not in fields:
            asked = f"{full}.{next(iter(value))}" if isinstance(value, Mapping) and value else full
            raise ConfigError(f"unknown key {asked!r}{_nearest(asked)}; --help lists the keys")
        kind = fields[name].type
        if isinstance(kind, type) and dataclasses.is_dataclass(kind):
            if not isinstance(value, Mapping):
                inner = ", ".join(f"{full}.{item.name}" for item in dataclasses.fields(kind))
                raise ConfigError(
                    f"{full}={value!r}: is a group of keys; did you mean one of {inner}?"
                )
            arguments[name] = _build(kind, value, f"{full}.")
        else:
            arguments[name] = _convert(full, value, kind)
    return cls(**arguments)


def _convert(name: str, value: Any, kind: Any) -> Any:
    """Return `value` as `kind` (bool, int, float, str or tuple of one of them), or raise ConfigError."""
    if isinstance(kind, types.GenericAlias) or typing.get_origin(kind) is tuple:
        inner = typing.get_args(kind)[0]
        if not isinstance(value, list | tuple):
            value = [value]
        return tuple(_convert(name, item, inner) for item in value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind is str and isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if kind is str and value is None:
        return ""
    if type(value) is not kind:
        expected = {int: "an integer", float: "a number", bool: "true or false", str: "text"}[kind]
        raise ConfigError(f"{name}={value!r}: expected {expected}")
    return value


def _nearest(name: str) -> str:
    known = [leaf for leaf, _ in _leaves(Config)]
    # A bare name is often right but for its group: `steps` means `train.steps`.
    matches = [leaf for leaf in known if leaf.rpartition(".")[2] == name.rpartition(".")[2]]
    matches = difflib.get_close_matches(name, matches, n=1, cutoff=0.0)
    matches += difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"; did you mean {matches[0]!r}?" if matches else ""


def _at_least(config: Config) -> None:
    """Check the lower bounds of numbers, all in one table."""
    bounds: dict[str, float] = {
        "seed": 0, "embedded.families": 0, "embedded.problems_per_family": 1, "embedded.tests_per_problem": 10,
        "embedded.slow_every": 1, "embedded.heldout_families": 0, "sets.problems_per_part": 1, "sets.actors": 1,
        "model.vocabulary": 320, "model.width": 64, "model.layers": 1, "train.prompts": 0, "train.responses": 1,
        "train.minimum_responses": 0, "train.steps": 1, "train.responses_per_step": 1, "train.max_tokens": 8,
        "train.workers": 1, "train.checkpoint_every": 1, "train.max_failures": 0, "train.warmup_steps": 0, "train.seed": 0,
        "train.learning_rate": 0, "train.clip_norm": 0, "train.weight_decay": 0, "eco.weight": 0,
        "sample.engines": 1, "sample.problems": 0, "sample.completions": 1, "sample.temperature": 0,
        "sample.max_tokens": 1, "sample.kv_cache_gb": 1, "score.actors": 1, "score.rarefy_to": 1,
        "sweep.concurrent": 0, "sweep.cost_prompt": 0, "sweep.cost_response": 0, "ray.cpus": 0,
    }  # fmt: skip
    for name, least in bounds.items():
        value: Any = config
        for part in name.split("."):
            value = getattr(value, part)
        if not value >= least:
            raise ConfigError(f"{name}={value}: must be at least {least:g}")
    for name, values in {"sweep.responses": config.sweep.responses, "sweep.budgets": config.sweep.budgets,
                         "sweep.seeds": config.sweep.seeds, "score.pass_ks": config.score.pass_ks,
                         "sample.splits": config.sample.splits}.items():  # fmt: skip
        if not values:
            raise ConfigError(f"{name}: is empty; give at least one value")
    share = config.sample.gpu_per_engine
    if share < 0 or (share > 1 and share != int(share)):
        raise ConfigError(
            f"sample.gpu_per_engine={share:g}: must be a share of one GPU or a whole number of GPUs"
        )
    if not 0 < config.sample.top_p <= 1:
        raise ConfigError(f"sample.top_p={config.sample.top_p}: must be above 0 and at most 1")
    if not 0 <= config.embedded.heldout_fraction < 1:
        raise ConfigError(
            f"embedded.heldout_fraction={config.embedded.heldout_fraction}: must be at least 0 and below 1"
        )


def _check_embedded(config: Config) -> None:
    """Check that every split that is sampled will hold problems."""
    embedded = config.embedded
    if embedded.families and embedded.heldout_families >= embedded.families:
        raise ConfigError(
            f"embedded.heldout_families={embedded.heldout_families}: leaves nothing to train on of"
            f" embedded.families={embedded.families}"
        )
    empty = {
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
        "score.pass_ks": score.pass_ks,
    }
    for name, values in lists.items():
        least = 0 if name in ("sweep.seeds", "sweep.eco_weights") else 1
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


def _whole_groups(name: str, responses: int, train: TrainConfig) -> None:
    per_step = train.responses_per_step
    if responses < 1 or per_step % responses:
        raise ConfigError(
            f"{name}={responses}: train.responses_per_step={per_step} must be a multiple of it, so that an update holds whole groups"
        )
    if per_step // responses < train.workers:
        raise ConfigError(
            f"train.workers={train.workers}: an update holds {per_step // responses} groups of {name}={responses},"
            " and every worker needs one; use fewer workers or raise train.responses_per_step"
        )


def _one_of(name: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        raise ConfigError(
            f"{name}={value!r}: must be one of {', '.join(repr(choice) for choice in choices)}"
        )


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
