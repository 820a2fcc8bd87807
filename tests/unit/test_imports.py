"""Who may import whom, and what `import raymode` must not load."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import raymode

ROOT = Path(raymode.__file__).parent
BASE = {
    "errors",
    "schema",
    "seed",
    "config",
    "config_check",
    "config_ray",
    "config_load",
    "config_training",
    "config_sample",
    "store",
    "template",
    "progress",
    "events",
}
# Room -> rooms it may import besides BASE and itself.
ALLOWED = {
    "sandbox": set(),
    "sources": {"sandbox"},
    "sets": {"sandbox", "sources", "actors", "cluster", "lock", "rundir", "watch"},
    "losses": set(), "token_losses": set(),
    "train": {"losses", "token_losses", "cluster", "ray_metrics", "rundir", "lock"},
    "sample": {"actors", "cluster", "rundir"},
    "measure": {"sandbox", "sets", "actors", "cluster", "watch", "rundir"},
    "sweep": {"ray_metrics", "train", "rundir", "stages", "measure", "cluster", "lock", "tables", "watch"},
    "report": {"measure", "sweep", "sets", "simulate"},
    "simulate": {"sweep", "measure", "sets"},
    "plan": set(),
    "sweep_job": {"job", "sweep", "report", "lock"},
    "tables": {"rundir"},
    "stages": {"cluster", "rundir", "tables", "sets", "train", "sample", "measure", "report", "sweep"},
    "rundir": set(), "job": {"cluster", "rundir", "lock", "postmortem"}, "postmortem": {"report"},
    "cluster": {"ray_metrics", "signs"}, "ray_metrics": set(), "actors": {"cluster", "signs"}, "signs": set(),
    "lock": {"lease"}, "lease": set(),
    "watch": {"actors", "sandbox", "signs"}, "spot": set(),
    **{name: set() for name in BASE},
}  # fmt: skip
RAY_FILES = {
    "actors.py", "cluster.py", "ray_metrics.py", "signs.py", "watch.py", "sets/stream.py",
    "train/run.py", "train/leaving.py", "train/place.py", "train/fatal.py",
    "sample/pool.py", "measure/judges.py",
    "sweep/run.py", "sweep/board.py", "sweep/search.py",
}  # fmt: skip


def imported_modules(file: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


FILES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py"))


@pytest.mark.parametrize("file", FILES)
def test_a_file_imports_only_what_its_room_may(file):
    room = file.split("/")[0].removesuffix(".py")
    if room in ("__init__", "__main__"):
        return
    allowed = BASE | ALLOWED[room] | {room}
    rooms = {
        name.split(".")[1] for name in imported_modules(ROOT / file) if name.startswith("raymode.")
    }
    assert rooms <= allowed, f"{file} imports {sorted(rooms - allowed)}"


@pytest.mark.parametrize("file", FILES)
def test_ray_and_vllm_are_imported_only_at_the_edge(file):
    top = {name.split(".")[0] for name in imported_modules(ROOT / file)}
    assert "ray" not in top or file in RAY_FILES
    assert "vllm" not in top or file == "sample/engine.py"


@pytest.mark.parametrize(
    "module",
    [
        "raymode",
        "raymode.config",
        "raymode.job",
        "raymode.sandbox",
        "raymode.sets.normalize",
        "raymode.measure",
    ],
)
def test_light_modules_load_nothing_heavy(module):
    code = f"import sys, {module}; print([m for m in ('torch', 'ray', 'vllm', 'transformers') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
