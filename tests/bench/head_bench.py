"""Peak memory and time of the vocabulary head, forward and backward, against full logits and torch's own.

    python tests/bench/head_bench.py [--tokens 1024] [--hidden 512] [--vocabulary 151936] [--dtypes float32 bfloat16]

Every variant runs in a process of its own. "Least" is what no head can do without: hidden states, weights and the
gradients of both. Peak is the most memory resident during the first step; time is the median CPU time of the others.
"""

import argparse
import functools
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, linear

from raymode.train.head import token_logp, token_values

MIB = 2**20


def naive(h: Tensor, w: Tensor, targets: Tensor) -> Tensor:
    return -cross_entropy(linear(h, w).float(), targets, reduction="none")


def recomputed(h: Tensor, w: Tensor, targets: Tensor) -> Tensor:
    return token_logp(h, w, targets, keep_bytes=0)


def kept(h: Tensor, w: Tensor, targets: Tensor) -> Tensor:
    return token_logp(h, w, targets, keep_bytes=2**60)


def as_token_loss(h: Tensor, w: Tensor, targets: Tensor) -> Tensor:
    return -token_values(h, w, targets, functools.partial(cross_entropy, reduction="none"))


def torch_own(h: Tensor, w: Tensor, targets: Tensor) -> Tensor:
    options = torch.nn.LinearCrossEntropyOptions(batch_chunk_size=256, chunking_method=None)
    return -torch.nn.functional.linear_cross_entropy(h, w, targets, reduction="none", options=options)  # fmt: skip


VARIANTS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "full logits": naive,
    "token_logp": token_logp,
    "token_logp, kept": kept,
    "token_logp, recomputed": recomputed,
    "token_values": as_token_loss,
    "torch linear_cross_entropy": torch_own,
}


def memory(field: str) -> float:
    """Return a field of this process's status in MiB: VmRSS now, VmHWM at most."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1]) / 1024


def child(variant: str, tokens: int, hidden: int, vocabulary: int, dtype: str, repeats: int) -> None:  # fmt: skip
    """Measure one variant and print the figures as JSON."""
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    head = VARIANTS[variant]
    # What libraries load and reserve on first use is not the head's memory.
    warm_h, warm_w = (torch.randn(n, hidden, dtype=getattr(torch, dtype)) for n in (tokens, 2048))
    head(
        warm_h.requires_grad_(), warm_w.requires_grad_(), torch.arange(tokens) % 2048
    ).sum().backward()
    del warm_h, warm_w
    before = memory("VmRSS")
    h, w = (torch.empty(n, hidden, dtype=getattr(torch, dtype)) for n in (tokens, vocabulary))
    for x, spread in ((h, 1.0), (w, 0.02)):
        for part in x.split(1024):
            part.copy_(torch.randn(part.shape, generator=generator) * spread)
        x.requires_grad_()
    targets = torch.randint(0, vocabulary, (tokens,), generator=generator)
    weights = torch.rand(tokens, generator=generator)
    Path("/proc/self/clear_refs").write_text("5")
    times = []
    for repeat in range(repeats):
        started = time.process_time()
        (head(h, w, targets) * weights).sum().backward()
        times.append(time.process_time() - started)
        if repeat == 0:
            peak = memory("VmHWM") - before
        assert h.grad is not None and w.grad is not None
        norms = [x.grad.float().norm().item() for x in (h, w) if x.grad is not None]
        h.grad = w.grad = None
    least = 2 * (h.nbytes + w.nbytes) / MIB
    print(json.dumps({"peak": peak, "least": least, "seconds": statistics.median(times[1:]), "norms": norms}))  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)  # fmt: skip
    parser.add_argument("--tokens", type=int, default=1024)
    parser.add_argument("--hidden", type=int, default=512)
    parser.add_argument("--vocabulary", type=int, default=151_936)
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--child", nargs=2, default=None, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        variant, dtype = given.child
        child(variant, given.tokens, given.hidden, given.vocabulary, dtype, given.repeats)
        return
    print(f"N={given.tokens} D={given.hidden} V={given.vocabulary}")
    print("dtype     variant                      peak MiB  of least  CPU s  |dh|       |dw|")
    for dtype in given.dtypes:
        for variant in given.variants:
            sizes = [f"--{name}={getattr(given, name)}" for name in ("tokens", "hidden", "vocabulary", "repeats")]  # fmt: skip
            command = [sys.executable, __file__, *sizes, "--child", variant, dtype]
            run = subprocess.run(command, capture_output=True, text=True, check=False)
            if run.returncode:
                print(f"{dtype:9} {variant:28} failed: {run.stderr.strip().splitlines()[-1][:90]}")
                continue
            row = json.loads(run.stdout)
            print(
                f"{dtype:9} {variant:28} {row['peak']:8.0f} {row['peak'] / row['least']:8.2f}x {row['seconds']:6.2f}"
                f"  {row['norms'][0]:.3e}  {row['norms'][1]:.3e}",
                flush=True,
            )


if __name__ == "__main__":
    main()
