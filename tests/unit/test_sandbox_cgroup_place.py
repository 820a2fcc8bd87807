"""Where cgroup v2 limits may be set, from what the kernel says and from folders that look like a hierarchy."""

from pathlib import Path

import pytest

from raymode.sandbox import cgroup as cgroup_module
from raymode.sandbox.cgroup import Place, find_place

UNIFIED = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
READ_ONLY = "700 690 0:26 / /sys/fs/cgroup ro,nosuid - cgroup2 cgroup rw\n"
VERSION_1 = (
    "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    "39 31 0:36 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n"
)
HYBRID = VERSION_1 + "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n"
OTHER = "22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw\n"
TOP = Path("/sys/fs/cgroup")


@pytest.mark.parametrize(
    ("mountinfo", "own", "expected"),
    [
        (OTHER + UNIFIED, "0::/a.slice/b.scope\n", Place(TOP, TOP / "a.slice/b.scope")),
        (OTHER + READ_ONLY, "0::/\n", Place(TOP, TOP)),
        (HYBRID, "4:memory:/m\n8:pids:/p\n0::/u\n", Place(TOP / "unified", TOP / "unified/u")),
        (VERSION_1, "4:memory:/m\n8:pids:/p\n", None),
        (UNIFIED, "0::/../b.scope\n", None),
        (UNIFIED, "0::/a (deleted)\n", None),
        (UNIFIED.replace("0:26 / ", "0:26 /../.. "), "0::/\n", None),
        (UNIFIED.replace("0:26 / ", "0:26 /docker/1f "), "0::/docker/1f/x\n", Place(TOP, TOP / "x")),
        (UNIFIED.replace("0:26 / ", "0:26 /docker/1f "), "0::/docker/1f0/x\n", None),
        (UNIFIED.replace("/sys/fs/cgroup", "/my\\040groups"), "0::/x\n",
         Place(Path("/my groups"), Path("/my groups/x"))),
        (UNIFIED.replace("/sys/fs/cgroup", "/first") + UNIFIED, "0::/x\n", Place(TOP, TOP / "x")),
    ],
)  # fmt: skip
def test_the_place_is_read_from_what_the_kernel_says(
    mountinfo: str, own: str, expected: Place | None
) -> None:
    assert find_place(mountinfo, own) == expected


def fake(folder: Path, **files: str) -> Path:
    """A folder with the files of a cgroup."""
    folder.mkdir(parents=True, exist_ok=True)
    names = ("cgroup_procs", "cgroup_subtree_control", "cgroup_controllers")
    given = {**dict.fromkeys(names, ""), **files}
    for name, text in given.items():
        (folder / name.replace("_", ".", 1)).write_text(text)
    return folder


@pytest.fixture
def delegated(monkeypatch: pytest.MonkeyPatch) -> None:
    """systemd runs here and delegates units whose names begin with "given"."""
    monkeypatch.setattr(cgroup_module, "_is_delegated", lambda unit: unit.name.startswith("given"))


@pytest.mark.usefixtures("delegated")
@pytest.mark.parametrize(
    ("parent", "own", "handed_out", "own_files", "allowed"),
    [
        ("given.service", "main", "cpu memory pids", {"memory_max": "max\n"}, True),
        ("given.service/a", "b", "memory pids", {}, True),
        ("given.service", "main", "cpu pids", {}, False),
        ("given.service", "main", "memory pids", {"memory_max": "1048576\n"}, False),
        ("given.service", "main", "memory pids", {"cpu_max": "50000 100000\n"}, False),
        ("plain.service", "main", "memory pids", {}, False),
        ("plain.service/a", "b", "memory pids", {}, False),
        ("app.slice", "main", "memory pids", {}, False),
        ("given@1.service", "init.scope", "memory pids", {}, False),
    ],
)
def test_a_leaf_lies_beside_only_where_it_was_prepared_and_escapes_no_limit(
    tmp_path: Path, parent: str, own: str, handed_out: str, own_files: dict[str, str], allowed: bool
) -> None:
    above = fake(tmp_path / parent, cgroup_subtree_control=handed_out + "\n")
    place = Place(tmp_path, fake(above / own, **own_files))
    assert (cgroup_module._prepared_parent(place) == above) is allowed


@pytest.mark.usefixtures("delegated")
@pytest.mark.parametrize(
    ("name", "controllers", "allowed"),
    [
        ("plain.scope", "cpu memory pids", False),
        ("given.scope", "cpu memory pids", True),
        ("given.slice", "cpu memory pids", False),
        ("other", "cpu memory pids", True),
        ("other", "cpu hugetlb", False),
    ],
)
def test_a_leaf_lies_inside_only_what_is_ours_and_has_the_controllers(
    tmp_path: Path, name: str, controllers: str, allowed: bool
) -> None:
    top = fake(tmp_path)
    own = fake(top / name, cgroup_controllers=controllers + "\n")
    assert (cgroup_module._prepared_parent(Place(top, own)) == own) is allowed
    assert bool((own / "cgroup.subtree_control").read_text()) is allowed
