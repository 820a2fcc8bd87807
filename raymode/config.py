"""One frozen dataclass per stage; every field says its unit and meaning.

`config_load` fills them from YAML and key=value, `config_check` refuses what cannot work.
"""

import dataclasses
import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import Any

SOURCES = ("embedded", "code_contests", "references", "tables")
SPLITS = ("train", "heldout", "heldout_parameters", "heldout_families")
SELECTIONS = ("random", "best", "diverse", "quality_diversity", "cluster_first", "log_det")
GROUP_LOSSES = (
    "nll",
    "mml",
    "beta_mml",
    "tilted",
    "ucpo",
    "eco",
    "eco_hinge",
    "gepo",
    "target_weighted",
    "dco",
)
TOKEN_LOSSES = (
    "cross_entropy", "label_smoothing", "focal", "entropy_bonus", "gem", "sed_sft", "tofu", "dft",
)  # fmt: skip
ECO_LOSSES = ("eco", "eco_hinge")
PREFERENCE_LOSSES = ("gepo",)
"""Those that compare right responses with wrong ones."""
WEIGHTED_LOSSES = (*ECO_LOSSES, *PREFERENCE_LOSSES)
"""Those with λ = eco.weight."""
LOSSES = (*GROUP_LOSSES, *TOKEN_LOSSES)
ECO_REDUCTIONS = ("sum", "mean", "residual", "reference")
PACKINGS = ("shared", "padded")
ATTENTIONS = ("auto", "cascade", "varlen", "flex")
ORDERS = ("grouped", "shuffled", "mixed")
SCHEDULES = ("cosine", "linear", "constant")
HELDOUT_METRICS = ("heldout_nll", "heldout_nll_per_token", "heldout_nll_cluster")
DTYPES = ("float32", "bfloat16")
TRACKERS = ("tensorboard", "wandb", "mlflow")
DESIGNS = ("budget", "lambda", "conditions", "selection", "plain")
MATCHES = ("updates", "tokens", "prompts")
COMPONENT_GROUPS = ("train", "heldout")
ENGINES = ("vllm", "transformers")
STRATEGIES = (
    "direct", "verbalized", "verbalized_reasoning", "verbalized_turns", "sequence", "handoff", "languages", "modes",
)  # fmt: skip
LANGUAGES = (
    "English", "German", "French", "Spanish", "Italian", "Portuguese", "Dutch", "Russian", "Turkish", "Chinese",
    "Japanese", "Korean", "Arabic", "Hindi",
)  # fmt: skip
"""Those in which `sample.strategy=languages` can lead a model to think."""
SIMULATIONS = (
    "variance", "budget", "lottery", "selection", "emse", "similarity", "transformer", "two_level",
)  # fmt: skip
PLACES = ("drive", "verify", "train", "sample")
"""What may be kept to nodes of its own: drivers of trials, and the work of the stages."""
PACKAGE_NAME = re.compile(
    r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?"
)  # of a distribution (PEP 508)
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
class ReadConfig:
    """Which rows of the source's files are read."""

    split: str = key("", "name of the split to read; empty = all there are")
    heldout_fraction: float = key(
        0.1, "share of the problems kept for evaluation where the files name no split"
    )
    limit: int = key(0, "problems to read; 0 = all")


@dataclass(frozen=True, slots=True)
class CodeContestsConfig:
    """source=code_contests: rows of deepmind/code_contests, in Parquet files or by name."""

    cpu_s: float = key(2.0, "CPU seconds of one test where a row has no limit")
    memory_mb: int = key(256, "memory of one test where a row has no limit, MiB")
    max_tests: int = key(0, "tests used per problem, the published ones first; 0 = all")


@dataclass(frozen=True, slots=True)
class ReferencesConfig:
    """source=references: texts, with many references per prompt."""

    id: str = key("", "column with the prompt's id; empty = recognised")
    prompt: str = key("", "column with the prompt; empty = recognised")
    response: str = key("", "column with a reference or a list of them; empty = recognised")
    label: str = key("", "column with the references' clusters; empty = recognised")
    embedding: str = key(
        "", "sentence-transformers model that clusters references; empty = their characters do"
    )


@dataclass(frozen=True, slots=True)
class SetsConfig:
    """Raw solutions -> equivalence sets."""

    path: str = key("", "directory of the set tables; empty = <run_dir>/sets")
    problems_per_part: int = key(20, "problems per part file: the unit of resuming")
    actors: int = key(2, "sandbox actors that verify, one CPU each")
    dataset: bool = key(True, "write a Hugging Face dataset and a card beside the tables")
    min_pass_share: float = key(
        0.5, "a problem is set aside if fewer of its solutions claimed to be right pass its tests"
    )


@dataclass(frozen=True, slots=True)
class SandboxConfig:
    """How untrusted programs are isolated."""

    level: str = key("", "L4, L3 or L2; empty = the strongest this host allows")
    allow_unsafe: bool = key(
        False, "run without kernel isolation if none works; every table then says so"
    )
    packages: tuple[str, ...] = key(
        (), "installed packages that programs may import, such as [numpy]; see docs/sandbox.md"
    )
    shared: bool = key(
        False, "run pure programs on all their tests in one process; see docs/sandbox.md"
    )
    lanes: int = key(
        2,
        "programs under way at a time per actor; they take turns, so that one that sleeps holds up nobody",
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
    diversity_weight: float = key(
        4.0, "weight of coverage against reward with selection=quality_diversity"
    )
    loss: str = key(
        "nll", f"one of {', '.join(LOSSES)}; or your own, package.module:function (docs/losses.md)"
    )
    packing: str = key(
        "shared",
        "shared: a prompt is computed once for its K responses; padded: with every response",
    )
    attention: str = key(
        "auto",
        "of packing=shared, auto: what suits each layer; cascade (CPUs), varlen or flex (GPUs): that, or an error",
    )
    tokens_per_batch: int = key(
        0, "tokens a worker holds at a time; an update is cut accordingly, exactly; 0 = all at once"
    )
    order: str = key(
        "grouped",
        "grouped: whole groups; shuffled: every response alone; mixed: train.collision_rate",
    )
    collision_rate: float = key(
        0.5, "order=mixed: share of an update's responses that come in whole groups, 0 to 1"
    )
    steps: int = key(200, "optimiser updates")
    responses_per_step: int = key(
        48,
        "responses in one update, over all workers, wrong ones included; a multiple of a group's",
    )
    mode_tokens: int = key(
        0,
        "M: begin each response with the mode, 1 to M, of its cluster (the mixture baseline); 0 = off",
    )
    wrong_responses: int = key(
        0, "loss=gepo: wrong solutions beside the K right ones, or as many as a problem has"
    )
    response_tokens: int = key(
        0, "train on about so many response tokens, which sets the updates; 0 = train.steps updates"
    )
    learning_rate: float = key(2e-3, "peak AdamW learning rate")
    warmup_steps: int = key(20, "updates of linear warm-up")
    schedule: str = key(
        "cosine", "after warm-up: cosine to a tenth of the peak, linear to a tenth, or constant"
    )
    weight_decay: float = key(0.01, "AdamW weight decay")
    clip_norm: float = key(1.0, "gradient norm above which gradients are scaled down; 0 = off")
    max_tokens: int = key(256, "longest prompt + response, tokens; a longer one is an error")
    seed: int = key(0, "varies selection, order, initial weights and sampling over one set table")
    workers: int = key(1, "Ray Train workers")
    min_workers: int = key(
        0,
        "go on with as few workers where machines are lost, and with more when they come back; 0 = never fewer",
    )
    gpu: bool = key(False, "one GPU per worker")
    dtype: str = key("float32", "bfloat16: compute in it, with weights and updates in float32")
    gradient_checkpointing: bool = key(
        False, "compute a layer's inside again for the gradient instead of keeping it"
    )
    compile: bool = key(False, "compile the layers with torch.compile")
    lora_rank: int = key(
        0, "train low-rank adapters of this rank with peft, merged at the end; 0 = all weights"
    )
    lora_alpha: float = key(32.0, "LoRA: scale of the adapters is alpha / rank")
    heldout_every: int = key(0, "updates between held-out measurements; 0 = at the end only")
    patience: int = key(
        0, "stop after so many held-out measurements without a better NLL; 0 = never"
    )
    stop_on: str = key("heldout_nll", f"what train.patience looks at: {', '.join(HELDOUT_METRICS)}")
    log: tuple[str, ...] = key(
        (), f"where metrics go besides metrics.jsonl, such as [tensorboard]: {', '.join(TRACKERS)}"
    )
    peak_tflops: float = key(
        0.0,
        "what one worker's device can do, 10^12 operations/s; metrics then tell the share that is used (MFU)",
    )
    keep_every: int = key(0, "updates between models that are kept in models/; 0 = the last only")
    checkpoint_every: int = key(100, "updates between checkpoints to resume from")
    max_failures: int = key(
        3, "how often lost workers, or their lost controller, are replaced before the run fails"
    )
    max_preemption_failures: int = key(
        -1, "the same for machines whose loss was announced (docs/cluster.md); -1 = always"
    )


@dataclass(frozen=True, slots=True)
class EcoConfig:
    """ECO: NLL + weight * population variance of the responses' log-probabilities."""

    weight: float = key(
        0.0, "λ: weight of the variance term (both terms are sums over a response's tokens)"
    )
    reduction: str = key(
        "mean", f"what the variance is of: {', '.join(ECO_REDUCTIONS)} (see docs/losses.md)"
    )
    running: float = key(
        0.25,
        "order=shuffled: weight of the latest response in a problem's running mean, which stands for the group's; 0 = off",
    )


@dataclass(frozen=True, slots=True)
class LossConfig:
    """Settings of the losses other than ECO's; each is read by those that its text names."""

    beta: float = key(0.5, "beta_mml: β, 1 = mml")
    tilt: float = key(0.1, "tilted: t, 0 = nll")
    uniformity: float = key(1.0, "ucpo: τ, 0 = mml, 1 = nll")
    samples: int = key(16, "dco: N, the draws of which one shall be right")
    gepo_beta: float = key(0.1, "gepo: β, the scale of log-ratios to the starting model")
    smoothing: float = key(0.1, "label_smoothing: ε")
    gamma: float = key(2.0, "focal, tofu: γ")
    entropy_weight: float = key(0.01, "entropy_bonus: α")
    gem_temperature: float = key(0.7, "gem: temperature of the target")
    gem_variant: str = key("linear", "gem: linear or logsigmoid")
    sed_weight: float = key(0.2, "sed_sft: λ")
    sed_top: int = key(2, "sed_sft: k")
    sed_threshold: float = key(0.95, "sed_sft: τ")
    tofu_beta: float = key(0.8, "tofu: β")


@dataclass(frozen=True, slots=True)
class SampleConfig:
    """Drawing completions of held-out prompts."""

    engine: str = key("vllm", f"one of {', '.join(ENGINES)}")
    engines: int = key(1, "engine actors in the pool, at most")
    min_engines: int = key(
        0, "begin with as few where the cluster has no more yet; 0 = sample.engines"
    )
    chunk: int = key(
        1024, "answers one engine draws at a time; more cost less, fewer spread over more engines"
    )
    checkpoint: str = key("", "checkpoint to sample from; empty = <run_dir>/checkpoint")
    splits: tuple[str, ...] = key(
        (), "splits to draw prompts from; empty = all that are kept for evaluation"
    )
    problems: int = key(0, "problems per split; 0 = all")
    completions: int = key(16, "n: completions per prompt and decoding")
    strategy: str = key(
        "direct", f"how completions are asked for: {', '.join(STRATEGIES)} (docs/sampling.md)"
    )
    responses_per_answer: int = key(
        4, "strategies verbalized*, sequence: completions asked for in one answer"
    )
    tail: float = key(
        0.0, "verbalized*: ask for responses less probable than this; 0 = for all kinds"
    )
    turns: int = key(2, "verbalized_turns: turns of one conversation")
    handoff_model: str = key(
        "", "handoff: model that begins the answer; empty = the one training began with"
    )
    handoff_tokens: int = key(8, "handoff: tokens that it draws")
    languages: tuple[str, ...] = key(
        ("German", "French", "Chinese", "Japanese", "Arabic"),
        "languages: those in which the model is led to think, in turn",
    )
    temperature: float = key(1.0, "sampling temperature; 0 = the likeliest token")
    top_p: float = key(1.0, "nucleus mass")
    min_p: float = key(0.0, "drop tokens below this share of the likeliest one's probability")
    temperatures: tuple[float, ...] = key(
        (), "sample at each of these instead of sample.temperature"
    )
    top_ps: tuple[float, ...] = key((), "sample at each of these instead of sample.top_p")
    min_ps: tuple[float, ...] = key((), "sample at each of these instead of sample.min_p")
    stop: tuple[str, ...] = key((), "strings that end a completion; they are not part of it")
    unfence: bool = key(True, "take the program out of a fenced code block, where there is one")
    max_tokens: int = key(128, "longest completion, tokens")
    max_model_len: int = key(512, "engine: longest prompt + completion, tokens")
    kv_cache_gb: float = key(
        1.0, "vLLM on CPU: key-value cache, GiB; it is written once at the start"
    )
    gpu_per_engine: float = key(
        0.0, "GPUs of one engine: a share of one, or several for tensor parallelism"
    )


@dataclass(frozen=True, slots=True)
class ScoreConfig:
    """Verifying completions and scoring them."""

    actors: int = key(1, "sandbox actors, one CPU each")
    pass_ks: tuple[int, ...] = key((1, 4, 16), "k of pass@k")
    rarefy_to: int = key(8, "m: clusters are compared at so many right completions")
    embedding: str = key(
        "", "sentence-transformers model that compares completions; empty = their characters do"
    )
    branching: bool = key(
        False, "also run the model over its completions, for the branching factor (strategy direct)"
    )


@dataclass(frozen=True, slots=True)
class SweepConfig:
    """A sweep: which cells, what they have equal, and what data cost."""

    design: str = key("budget", f"which cells: {', '.join(DESIGNS)} (docs/sweeps.md)")
    budgets: tuple[int, ...] = key((480, 240), "design budget: budgets B = P*K, in responses")
    responses: tuple[int, ...] = key((1, 2, 3, 6), "designs budget and selection: values of K")
    eco_weights: tuple[float, ...] = key(
        (), "values of λ; design budget runs each at every budget with the largest K"
    )
    losses: tuple[str, ...] = key(("eco", "eco_hinge"), "design lambda: losses, each at every λ")
    collision_rates: tuple[float, ...] = key(
        (0.25, 0.5, 0.75), "design conditions: shares of an update's responses in whole groups"
    )
    selections: tuple[str, ...] = key(
        ("random", "best", "diverse", "quality_diversity"), "design selection: ways to keep K of N"
    )
    space: tuple[str, ...] = key(
        (), 'further keys, such as ["train.learning_rate=log(1e-4,1e-2,3)"] (docs/sweeps.md)'
    )
    draws: int = key(1, "draws of the random keys of sweep.space; search=optuna: cells in all")
    search: str = key(
        "", "what chooses the values of sweep.space: empty = all of them, or at random; optuna"
    )
    scheduler: str = key("", "what ends cells that fall behind while they train: empty; asha")
    metric: str = key(
        "heldout_nll",
        f"what search and scheduler go by: {', '.join(HELDOUT_METRICS)}; search alone also a metric of scores, as R",
    )
    reduction: int = key(4, "scheduler=asha: one in so many cells goes on past each halt")
    grace: int = key(0, "scheduler=asha: updates before the first halt; 0 = train.heldout_every")
    match: str = key("updates", f"what all cells have equal: {', '.join(MATCHES)}")
    seeds: tuple[int, ...] = key((0,), "seeds; each is a full set of cells")
    concurrent: int = key(
        0,
        "trials at once; 0 = as many as fit the cluster as it is; one that grows by itself is asked for so many",
    )
    cost_prompt: float = key(4.0, "cost of acquiring one prompt, in units of cost_response")
    cost_response: float = key(1.0, "cost of acquiring and verifying one response")
    cost_core_hour: float = key(
        0.0, "price of a core-hour of verifying and training, as measured; 0 = not counted"
    )
    dry_run: bool = key(False, "print the cells and what they need; start nothing")


@dataclass(frozen=True, slots=True)
class ComponentsConfig:
    """Variance components of gradients and losses at one model (docs/budget-law.md)."""

    checkpoint: str = key(
        "",
        "model to measure at: a checkpoint; base: the one training starts from; empty = <run_dir>/checkpoint",
    )
    groups: str = key("train", f"prompts to measure on: {', '.join(COMPONENT_GROUPS)}")
    prompts: int = key(100, "prompts, at most, with all their responses; 0 = all")
    size: int = key(256, "numbers that a gradient is sketched to")
    per_token: bool = key(False, "divide the loss and gradient of a response by its tokens")


@dataclass(frozen=True, slots=True)
class CompareConfig:
    """A page that compares scored runs."""

    runs: tuple[str, ...] = key(
        (), "run directories, two or more; the others are compared with the first"
    )
    names: tuple[str, ...] = key((), "what to call them; empty = the last parts of their addresses")
    decoding: str = key(
        "", "decoding that is compared problem by problem; empty = the first that all have"
    )


@dataclass(frozen=True, slots=True)
class SimulateConfig:
    """Simulations of the budget law and of selection (docs/simulations.md)."""

    only: tuple[str, ...] = key((), f"some of {', '.join(SIMULATIONS)}; empty = all")
    repetitions: float = key(
        1.0, "Monte Carlo draws, as a multiple of each simulation's usual number"
    )


@dataclass(frozen=True, slots=True)
class RayConfig:
    """The Ray cluster."""

    address: str = key("", "cluster to join; empty = RAY_ADDRESS, else a local one")
    cpus: int = key(0, "CPUs of a local cluster; 0 = all of this machine")
    in_process: str = key(
        "auto",
        "train, sample and judge in the process that asks, without workers: always; never; auto = where a sweep's cells"
        " need one CPU and nothing else",
    )
    labels: tuple[str, ...] = key(
        (),
        f"what runs only on nodes with its label, some of {', '.join(PLACES)}; train means raymode/train=true,"
        " train:pool=a100 a label of your own (docs/cluster.md)",
    )


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
    read: ReadConfig = ReadConfig()
    code_contests: CodeContestsConfig = CodeContestsConfig()
    references: ReferencesConfig = ReferencesConfig()
    sets: SetsConfig = SetsConfig()
    sandbox: SandboxConfig = SandboxConfig()
    model: ModelConfig = ModelConfig()
    train: TrainConfig = TrainConfig()
    eco: EcoConfig = EcoConfig()
    loss: LossConfig = LossConfig()
    sample: SampleConfig = SampleConfig()
    score: ScoreConfig = ScoreConfig()
    sweep: SweepConfig = SweepConfig()
    components: ComponentsConfig = ComponentsConfig()
    compare: CompareConfig = CompareConfig()
    simulate: SimulateConfig = SimulateConfig()
    ray: RayConfig = RayConfig()

    @property
    def sets_path(self) -> str:
        """Where the set tables are."""
        return self.sets.path or f"{self.run_dir.rstrip('/')}/sets"

    @property
    def label(self) -> str:
        """The run in a few words, for progress lines."""
        train, weight = self.train, self.eco.weight
        loss = f"{train.loss} λ={weight:g}" if train.loss in WEIGHTED_LOSSES else train.loss
        return f"P={train.prompts or 'all'} K={train.responses} {loss} seed {train.seed}"


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
