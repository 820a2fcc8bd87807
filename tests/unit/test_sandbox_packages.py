"""Packages that programs may import: they work at every level, nothing beside them can be read, wrong names are errors."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from raymode.config import Config, SandboxConfig
from raymode.config_load import load
from raymode.errors import ConfigError, SandboxError
from raymode.rundir import run_id
from raymode.sandbox import Limits, Sandbox, Status, Test
from raymode.sandbox.distributions import find_packages
from raymode.sandbox.runner import LEVELS
from raymode.sets.verify import open_sandbox

LIMITS = Limits(cpu_s=10.0, memory_mb=512)
MATRIX = "2 1\n1 3\n5 10\n"

# name: (program, input, what it prints)
PROGRAMS: dict[str, tuple[str, str, str]] = {
    "sorting": (
        "import numpy as np\na = np.array(input().split(), dtype=int)\nprint(*np.sort(a), *np.argsort(a, kind='stable'))",
        "3 1 2\n", "1 2 3 1 2 0",
    ),
    "linalg.solve": (
        "import sys, numpy as np\n*a, b = np.loadtxt(sys.stdin)\nprint(*np.linalg.solve(a, b).round(9))",
        MATRIX, "1.0 3.0",
    ),
    "fromstring": (
        "import sys\nimport numpy\nprint(numpy.fromstring(sys.stdin.read(), dtype=numpy.int64, sep=' ').sum())",
        MATRIX, "22",
    ),
    "frombuffer": ("import os, numpy as np\nprint(np.frombuffer(os.read(0, 3), dtype=np.uint8))", "abc", "[97 98 99]"),
    "genfromtxt": ("import numpy as np\nprint(np.genfromtxt(open(0)).shape)", MATRIX, "(3, 2)"),
    "from numpy.linalg import": ("from numpy.linalg import det, inv\nfrom numpy import *\nprint(round(det(eye(3)), 6))", "", "1.0"),
    "fft": ("import numpy.fft\nprint(abs(numpy.fft.rfft([1, 0, 0, 0])).sum())", "", "3.0"),
    "polynomial": ("import numpy as np\nprint(np.polynomial.Polynomial([2, -3, 1]).roots().round(6))", "", "[1. 2.]"),
    "masked": ("import numpy.ma as ma\nprint(ma.masked_equal([1, 2, 2], 2).sum())", "", "1"),
    "text": ("import numpy as np\nprint(np.char.upper(['a', 'b']))", "", "['A' 'B']"),
    "convolution of digits": ("import numpy as np\nprint(np.convolve([1, 2, 3], [4, 5]))", "", "[ 4 13 22 15]"),
    "large matmul": ("import numpy as np\na = np.ones((1500, 1500))\nprint((a @ a).sum())", "", "3375000000.0"),
    "matmul in threads": (
        "import threading, numpy as np\nfound = []\ndef work():\n    a = np.ones((300, 300))\n    found.append((a @ a)[0, 0])\n"
        "ts = [threading.Thread(target=work) for _ in range(8)]\n[t.start() for t in ts]\n[t.join() for t in ts]\nprint(sum(found))",
        "", "2400.0",
    ),
    "seeded generator": (
        "import numpy as np\nprint(np.random.default_rng(5).integers(100, size=3))",
        "", str(np.random.default_rng(5).integers(100, size=3)),
    ),
    "unseeded random": (
        "import numpy as np\nprint(np.random.rand(), np.random.randint(1000))",
        "", f"{(state := np.random.RandomState(0)).rand()} {state.randint(1000)}",
    ),
    "environment": (
        "import ctypes, os, numpy\nget = ctypes.CDLL(None).getenv\nget.restype = ctypes.c_char_p\n"
        "print(sorted(os.environ), get(b'OMP_NUM_THREADS'), get(b'OPENBLAS_NUM_THREADS'))",
        "", "['HOME', 'LC_ALL', 'PATH'] None None",
    ),
}  # fmt: skip

# Each prints PWNED if it gets through.
ATTACKS = {
    "memmap": "np.memmap('/etc/passwd', mode='r')",
    "fromfile": "np.fromfile('/etc/passwd', dtype='u1')",
    "loadtxt": "np.loadtxt('/etc/passwd', dtype=str, delimiter=':')",
    "load": "np.load('/etc/passwd', allow_pickle=True)",
    "DataSource": "np.lib.npyio.DataSource(None).open('/etc/passwd')",
    "download": "np.lib.npyio.DataSource(None).open('http://127.0.0.1/x')",
    "save": "np.save('/tmp/raymode-numpy', np.ones(3))",
    "savetxt": "np.savetxt('/tmp/raymode-numpy', np.ones(3))",
    "tofile": "np.ones(3).tofile('/tmp/raymode-numpy')",
    "memmap to write": "np.memmap('/tmp/raymode-numpy', mode='w+', shape=3)",
    "memmap of numpy itself": "np.memmap(np.__file__, mode='r+')",
    "change numpy": "open(np.__file__, 'a')",
    "a neighbour": "open(os.path.dirname(os.path.dirname(np.__file__)) + '/pytest/__init__.py')",
    "a neighbour by its real path": f"open({pytest.__file__!r})",
    "names of neighbours": "os.listdir(os.path.dirname(os.path.dirname(np.__file__))).index('pytest')",
    "load_library": "np.ctypeslib.load_library('passwd', '/etc')",
    "ctypes": "if ctypes.CDLL(None).open(b'/etc/passwd', 0) < 0: raise OSError",
    "kept descriptors": "[os.open(n, os.O_RDONLY, dir_fd=fd) for fd in range(3, 64) for n in ('pytest/__init__.py', 'pytest')"
    " if not refuses(fd, n)][0]",
}  # fmt: skip
_ATTACK = """
import ctypes, os, numpy as np
def refuses(fd, name):
    try:
        os.close(os.open(name, os.O_RDONLY, dir_fd=fd))
    except OSError:
        return True
try:
    {action}
except (OSError, ImportError, ValueError, IndexError, ZeroDivisionError) as error:
    print('refused')
else:
    print('PWNED')
"""


@pytest.fixture(scope="module", params=LEVELS)
def sandbox(
    request: pytest.FixtureRequest, require_level: Callable[[str], None]
) -> Iterator[Sandbox]:
    require_level(request.param)
    with Sandbox(level=request.param, packages=("numpy",)) as sandbox:
        yield sandbox


def test_numpy_programs_run(sandbox: Sandbox) -> None:
    found = {}
    for name, (program, given, _) in PROGRAMS.items():
        run = sandbox.run(program, given, LIMITS)
        found[name] = (run.status, run.message, run.output.decode().strip())
    assert found == {name: (Status.AC, "", said) for name, (_, _, said) in PROGRAMS.items()}


def test_numpy_attacks_are_refused(sandbox: Sandbox) -> None:
    found = {}
    for name, action in ATTACKS.items():
        run = sandbox.run(_ATTACK.format(action=action), "", LIMITS)
        found[name] = (str(run.status), run.message, run.output)
    assert found == dict.fromkeys(ATTACKS, ("AC", "", b"refused\n"))


@pytest.mark.parametrize("name", ["pytest", "_pytest", "torch", "pandas", "raymode", "omegaconf"])
def test_nothing_else_can_be_imported(sandbox: Sandbox, name: str) -> None:
    run = sandbox.run(f"import {name}", "")
    assert (run.status, run.message) == (
        Status.RE,
        f"ModuleNotFoundError: No module named '{name}'",
    )


def test_limits_hold(sandbox: Sandbox) -> None:
    def status(program: str, limits: Limits) -> Status:
        return sandbox.run(f"import numpy as np\n{program}", "", limits).status

    assert status("np.ones(30 << 20)", Limits(memory_mb=128)) is Status.MLE
    assert status("np.empty(1 << 40)", LIMITS) is Status.MLE  # by numpy's own kind of MemoryError
    assert status("while True: np.ones((200, 200)) @ np.ones((200, 200))", Limits(cpu_s=0.3)) is (
        Status.TLE
    )
    # One thread computes: more cannot be started, and more would be seen as CPU time of the others.
    assert status("a = np.ones((400, 400)); a @ a", Limits(threads=0, memory_mb=64)) is Status.AC


def test_without_packages_there_is_no_numpy() -> None:
    with Sandbox() as sandbox:
        assert sandbox.run("import numpy", "").message.startswith("ModuleNotFoundError")


def test_lanes_and_shared_mode_go_with_packages() -> None:
    config = SandboxConfig(packages=("numpy",), shared=True, lanes=2)
    program = "import numpy as np\nprint(np.array(input().split(), dtype=int).sum())"
    tests = [Test(f"1 {n}\n", f"{n + 1}\n") for n in range(4)]
    with open_sandbox(config) as sandbox:
        assert sandbox.judge(program, tests).accepted
        assert sandbox.judge("print(sum(map(int, input().split())))", tests).accepted


# --- distributions made here


def install(folder: Path, name: str, files: dict[str, str], metadata: str = "") -> None:
    info = f"{name.replace('-', '_')}-1.0.dist-info"
    files = files | {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{metadata}"
    }
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    (folder / info / "RECORD").write_text(
        "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    )


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "site"  # pytest's own folder is closed to other users
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    return folder


def test_required_distributions_come_along_and_extras_do_not(site: Path, level: str) -> None:
    requirements = (
        "Requires-Dist: rm_beta>=1\nRequires-Dist: rm_gamma; extra == 'more'\n"
        "Requires-Dist: rm_windows; sys_platform == 'win32'\n"
    )
    install(site, "rm-alpha", {
        "rm_alpha/__init__.py": "from rm_beta import two\n", "rm_alpha/late.py": "", "../../bin/x": "",
    }, requirements)  # fmt: skip
    install(site, "rm_beta", {"rm_beta.py": "two = 2\n", "rm_space/part.py": "three = 3\n"})
    install(site, "rm_gamma", {"rm_gamma.py": ""})
    with Sandbox(packages=("RM.Alpha",), level=level) as sandbox:
        assert sandbox.run("import rm_alpha\nprint(rm_alpha.two)", "").output == b"2\n"
        assert "No module named 'rm_gamma'" in sandbox.run("import rm_gamma", "").message
        if level != "L2":
            late = "import rm_alpha.late, rm_space.part\nprint(rm_space.part.three)"
            assert sandbox.run(late, "").output == b"3\n"


def test_packages_that_cannot_be_had(site: Path) -> None:
    def complaint(name: str) -> str:
        with pytest.raises(SandboxError) as raised:
            Sandbox(packages=(name,))
        text = str(raised.value)
        assert text.startswith("sandbox.packages: ") and "\n" not in text
        return text

    threads = "import threading, time\nthreading.Thread(target=time.sleep, args=(9,), daemon=True).start()\n"
    for module, text in (
        ("rm_broken", "import rm_absent\n"),
        ("rm_threads", threads),
        ("rm_exits", "import os\nos._exit(3)\n"),
    ):
        install(site, module, {f"{module}.py": text})
    install(site, "rm_lacking", {"rm_lacking.py": ""}, "Requires-Dist: rm_absent\n")
    install(site, "rm_editable", {"__editable__.rm_editable-1.0.pth": "/somewhere"})
    install(site, "rm_nothing", {"rm_nothing.pth": ""})
    install(site, "rm_other", {"rm_named.py": ""})
    assert "'rm_absent' is not installed" in complaint("rm_absent")
    assert "pip install rm_absent" in complaint("rm_absent")
    assert "No module named 'rm_absent'" in complaint("rm_broken")
    assert "requires 'rm_absent'" in complaint("rm_lacking")
    assert "starts 1 threads" in complaint("rm_threads")
    assert "exit code 3" in complaint("rm_exits")
    assert "editable" in complaint("rm_editable")
    assert "no module to import" in complaint("rm_nothing")
    assert "name what it is installed as, 'rm_other'" in complaint("rm_named")
    assert "standard library" in complaint("json")


def test_a_package_that_loads_outside_only_lowers_no_level(
    site: Path, require_level: Callable[[str], None]
) -> None:
    """The stronger levels are not given up for it: the reason is the package."""
    require_level("L4")
    install(site, "rm_needs_proc", {"rm_needs_proc.py": "open('/etc/hostname')\n"})
    with pytest.raises(SandboxError, match=r"not inside at L4: rm_needs_proc: FileNotFoundError"):
        Sandbox(packages=("rm_needs_proc",))


def test_of_numpy_only_its_own_folders_are_readable() -> None:
    assert {name for name, _ in find_packages(("numpy",)).files} <= {"numpy", "numpy.libs"}


# --- configuration


def test_keys_reach_the_sandbox() -> None:
    config = load(["sandbox.packages=[numpy]", "sandbox.lanes=3", "sandbox.shared=true"]).sandbox
    assert (config.packages, config.lanes, config.shared) == (("numpy",), 3, True)
    assert load(["sandbox.packages=numpy"]).sandbox.packages == ("numpy",)


@pytest.mark.parametrize(
    ("argument", "says"),
    [
        ("sandbox.lanes=0", "sandbox.lanes=0: must be at least 1"),
        ("sandbox.packages=[numpy>=2]", "'numpy>=2' is no name of a package"),
        ("sandbox.packages=[numpy,numpy]", "a name stands twice"),
        ("sandbox.packages='numpy,sympy'", "'numpy,sympy' is no name of a package"),
    ],
)
def test_wrong_keys_are_named(argument: str, says: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load([argument])
    assert says in str(raised.value)


def test_only_packages_name_a_run() -> None:
    """Verdicts depend on what can be imported, not on how programs share processes and time."""

    def name(**keys: object) -> str:
        return run_id(Config(sandbox=SandboxConfig(**keys)))  # type: ignore[arg-type]

    assert name(packages=("numpy",)) != name()
    assert name(shared=True, lanes=5) == name()
