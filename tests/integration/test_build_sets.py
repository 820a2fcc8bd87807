"""Building sets on real Ray: the same bytes whatever the parallelism, bad rows set aside, resumable."""

import dataclasses
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from raymode.cluster import connect
from raymode.config import (
    Config,
    EmbeddedConfig,
    RayConfig,
    ReferencesConfig,
    SetsConfig,
    to_yaml,
)
from raymode.errors import ConfigError, DataError
from raymode.sets import parts
from raymode.sets.parts import MEASURED, TABLES
from raymode.sources import Partition
from raymode.sources.source import Rows
from raymode.store import Store

EMBEDDED = EmbeddedConfig(families=8, problems_per_family=2, heldout_families=1, slow_every=10_000)


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[str]:
    import ray

    connect(RayConfig(cpus=2))
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    yield ray.get_runtime_context().gcs_address
    ray.cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


def config(directory: Path, actors: int = 2) -> Config:
    sets = SetsConfig(problems_per_part=2, actors=actors)
    return Config(run_dir=str(directory), embedded=EMBEDDED, sets=sets)


def build(*arguments: Any) -> dict[str, Any]:
    from raymode.sets.build import build_sets

    return build_sets(*arguments)


def files(directory: Path) -> dict[str, bytes]:
    """Return the bytes of every file of the set tables but the measured one."""
    root = directory / "sets"
    paths = [path for path in sorted(root.rglob("*")) if path.is_file() and path.name[0] != "."]
    names = [path.relative_to(root) for path in paths if path.parent.name != MEASURED]
    return {str(name): (root / name).read_bytes() for name in names}


@dataclass(frozen=True)
class ListPartition:
    name: str
    rows: list[Any]
    programs: int = 0

    def read(self) -> Iterator[Rows]:
        for row in self.rows:
            if isinstance(row, Exception):
                raise row
            yield row


@dataclass(frozen=True)
class ListSource:
    parts: list[list[Any]]

    def partitions(self) -> list[Partition]:
        return [ListPartition(f"list{i}", rows) for i, rows in enumerate(self.parts)]


def double(name: str, codes: list[Any], **changes: Any) -> tuple[Any, Any]:
    problem = {
        "problem_id": name, "prompt": "Double n.", "tests": [{"input": "2\n", "output": "4\n"}], "checker": "tokens",
        "cpu_s": 2.0, "memory_mb": 256, "source": "list", "split": "train",
    }  # fmt: skip
    solutions = [
        {"problem_id": name, "code": code, "language": "python", "claimed": True} for code in codes
    ]
    return {**problem, **changes}, solutions


DOUBLE = "print(int(input()) * 2)"
MIXED = ListSource(
    [
        [
            double("a", [DOUBLE, "print(2 * int(input()))", "print 1", None]),
            double("b", [DOUBLE], tests=[]),
        ],
        [],
        [
            ("no dict", None),
            double("c", ["print(int(input()) + 1)", "import time\ntime.sleep(0.3)\nprint(4)"]),
        ],
        [double("d", [DOUBLE, DOUBLE.replace("(", "( "), ""]), double("e", [])],
    ]
)


def test_bytes_do_not_depend_on_the_number_of_actors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does the summary on where prompts are compared."""
    summaries = []
    for actors, compared_here in ((1, 0), (2, parts.COMPARED_HERE)):
        monkeypatch.setattr(parts, "COMPARED_HERE", compared_here)
        summaries.append(build(config(tmp_path / str(actors), actors), MIXED))
    assert summaries[0] == summaries[1]
    # All problems have one prompt, and two of the four accepted solutions are equal.
    assert summaries[0]["implicit_k"] == 3.0
    assert files(tmp_path / "1") == files(tmp_path / "2")
    assert summaries[0]["problems"] == 4
    assert summaries[0]["accepted"] == 4
    assert summaries[0]["copies"] == 1
    assert summaries[0]["rejected"] == {
        "problems: no_tests": 1,
        "problems: wrong_type": 1,
        "solutions: no_code": 1,
        "solutions: problem_rejected": 1,
        "solutions: python2": 1,
        "solutions: wrong_type": 1,
    }
    store = Store(str(tmp_path / "1" / "sets"))
    assert [row["problem_id"] for row in store.rows("problems")] == ["a", "c", "d", "e"]
    assert {row["row"] for row in store.rows("rejected")} >= {
        "a#2",
        "a#3",
        "b",
        "b#0",
        "list2#0",
        "d#2",
    }
    assert store.read_json("manifest.json")["parts"] == 4


def test_an_empty_set_names_its_source(tmp_path: Path) -> None:
    nothing_right = ListSource([[double("a", ["print(5)"]), double("b", [DOUBLE], tests=[])]])
    with pytest.raises(
        DataError, match=r"source 'embedded'.*no accepted solution.*no_tests.*unreliable_tests"
    ):
        build(config(tmp_path, actors=1), nothing_right)
    assert not (tmp_path / "sets" / "manifest.json").exists()


def test_an_unreadable_part_is_raymodes_own_error(tmp_path: Path) -> None:
    broken = ListSource(
        [[double("a", [DOUBLE])], [DataError("file x.parquet: row 7 cannot be read")]]
    )
    with pytest.raises(DataError, match=r"^file x.parquet: row 7 cannot be read$"):
        build(config(tmp_path, actors=1), broken)


def test_killed_and_given_again_it_ends_with_the_same_tables(tmp_path: Path, cluster: str) -> None:
    undisturbed = build(config(tmp_path / "whole"))
    killed = config(tmp_path / "killed")
    parts = tmp_path / "killed" / "sets" / "parts"
    _kill_after_some_parts(killed, tmp_path / "config.yaml", cluster, parts)
    assert not (tmp_path / "killed" / "sets" / "manifest.json").exists()
    written = {
        path.name: path.stat().st_mtime_ns
        for path in parts.iterdir()
        if not path.name.startswith(".")
    }
    assert 0 < len(written) < 8
    fewer = dataclasses.replace(killed, sets=dataclasses.replace(killed.sets, actors=1))
    assert build(fewer) == undisturbed
    assert {name: (parts / name).stat().st_mtime_ns for name in written} == written
    assert files(tmp_path / "whole") == files(tmp_path / "killed")

    started = time.monotonic()
    assert build(killed) == undisturbed
    assert time.monotonic() - started < 0.5
    _check_tables(Store(str(tmp_path / "whole" / "sets")), undisturbed)
    other = dataclasses.replace(
        killed, embedded=dataclasses.replace(EMBEDDED, tests_per_problem=11)
    )
    with pytest.raises(ConfigError, match=r"embedded.tests_per_problem: 12 → 11"):
        build(other)


def test_problems_judged_before_a_kill_are_not_judged_again(tmp_path: Path) -> None:
    """One part of eight problems, killed in its middle: those in the journal are left as they are."""
    from raymode.sets import journal
    from raymode.sets.stream import BUNDLE_RUNS, Done, judge_all

    slow = "import time\ntime.sleep(0.002)\nprint(2 * int(input()) + 0 * {})"
    tests = [{"input": f"{n}\n", "output": f"{2 * n}\n"} for n in range(BUNDLE_RUNS)]
    parts = [[double(f"p{n}", [slow.format(n)], tests=tests) for n in range(8)]]
    wanted = config(tmp_path / "killed", actors=1)
    store = Store(wanted.sets_path)
    stream = judge_all(wanted, store, ListSource(parts).partitions(), {0: frozenset()})
    for _ in range(3):
        next(stream)
    stream.close()  # as a driver that is gone
    done = journal.positions(store, 0)
    assert 3 <= len(done) < 8
    files = Path(store.path("journal/part-00000"))
    before = {position: (files / f"{position:06d}.arrow").stat().st_mtime_ns for position in done}
    again = judge_all(wanted, store, ListSource(parts).partitions(), {0: done})
    judged = sorted(message.position for message in again if isinstance(message, Done))
    assert judged == [n for n in range(8) if n not in done]
    assert before == {
        position: (files / f"{position:06d}.arrow").stat().st_mtime_ns for position in done
    }
    assert build(wanted, ListSource(parts))["accepted"] == 8
    assert not files.exists()


@pytest.mark.slow
def test_giant_rows_pass(tmp_path: Path) -> None:
    """A problem with 5,000 solutions, and one with a test input of 20 MB."""
    many = [f"print(int(input()) * 2 + {n} - {n})" for n in range(5000)]
    giant = [{"input": "2\n" + "x" * (20 << 20), "output": "4\n"}]
    source = ListSource(
        [[double("many", many)], [double("giant", [DOUBLE, "print(4)"], tests=giant)]]
    )
    wanted = config(tmp_path)
    summary = build(wanted, source)
    assert (summary["problems"], summary["accepted"]) == (2, 5002)
    (row,) = [
        row for row in Store(wanted.sets_path).rows("problems") if row["problem_id"] == "giant"
    ]
    assert len(row["tests"][0]["input"]) == len(giant[0]["input"])


def _kill_after_some_parts(wanted: Config, file: Path, address: str, parts: Path) -> None:
    """Run the job in a process of its own on the same cluster, and end it by SIGKILL after two parts."""
    file.write_text(to_yaml(wanted))
    job = Path(__file__).parents[2] / "jobs" / "build_sets.py"
    with subprocess.Popen(
        [sys.executable, str(job), f"config={file}", f"ray.address={address}"]
    ) as process:
        while process.poll() is None and (
            not parts.exists() or len(list(parts.glob("part-*.json"))) < 2
        ):
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL


def _check_tables(store: Store, summary: dict[str, Any]) -> None:
    tables = {name: store.rows(name) for name in TABLES}
    assert len(tables["problems"]) == summary["problems"] == 16
    assert len(tables["solutions"]) == len(tables["executions"]) == summary["solutions"]
    assert summary["verdicts"]["claimed_right"].keys() == {"AC"}
    assert summary["false_positives"] == 0
    assert summary["copies"] > 0
    accepted = [row for row in tables["solutions"] if row["verdict"] == "AC"]
    assert all(row["cluster_id"] and row["features"] for row in accepted)
    assert len(accepted) >= 6 * 16


def test_texts_take_the_same_road(tmp_path: Path) -> None:
    """References in files, as pairs and lists, become sets whose groups can be trained on."""
    import json

    from raymode import stages

    rows = [
        {
            "prompt": f"Name thing {n}.",
            "references": [f"a thing {k} of {n}" for k in "xyz"] + [f"a thing x  of {n}"],
        }
        for n in range(30)
    ]
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    wanted = Config(
        run_dir=str(tmp_path / "run"), source="references", path=str(tmp_path / "texts.jsonl"),
        sets=SetsConfig(actors=1),
    )  # fmt: skip
    summary = stages.build_sets(wanted)
    assert (summary["problems"], summary["accepted"], summary["copies"]) == (30, 90, 30)
    store = Store(wanted.sets_path)
    solutions = store.rows("solutions")
    assert {row["verdict"] for row in solutions} == {"reference"}
    assert {row["isolated"] for row in solutions} == {None}
    assert {row["reward"] for row in solutions} == {0.5, 0.25}
    assert store.exists("dataset/manifest.json") and store.exists("card.html")
    problems = {row["problem_id"]: row for row in stages.heldout_problems(wanted)}
    assert {row["split"] for row in problems.values()} == {"heldout"}


def test_references_are_clustered_by_a_model_if_one_is_named(tmp_path: Path) -> None:
    """The model counts words, so that the same words in another order are one cluster."""
    pytest.importorskip("sentence_transformers", reason="pip install raymode[embeddings]")
    import json

    import numpy as np
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer, models, pre_tokenizers

    texts = ["an old red house", "a house red and old", "blue birds sing", "sing , blue birds"]
    words = sorted({word for text in texts for word in text.split()})
    tokenizer = Tokenizer(models.WordLevel(dict(zip(words, range(len(words)), strict=True))))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    weights = np.eye(len(words), dtype=np.float32)
    model = SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_weights=weights)])
    model.save(str(tmp_path / "model"))
    rows = [{"prompt": f"Say {n}.", "references": texts} for n in range(4)]
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    wanted = Config(
        run_dir=str(tmp_path / "run"), source="references", path=str(tmp_path / "texts.jsonl"),
        references=ReferencesConfig(embedding=str(tmp_path / "model")), sets=SetsConfig(actors=1),
    )  # fmt: skip
    assert build(wanted)["accepted"] == 16
    clusters: dict[str, set[str]] = {}
    for row in Store(wanted.sets_path).rows("solutions"):
        clusters.setdefault(row["cluster_id"], set()).add(row["code"])
    assert sorted(map(sorted, clusters.values())) == sorted([sorted(texts[:2]), sorted(texts[2:])])


def test_a_model_that_is_missing_is_named_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "texts.jsonl").write_text('{"prompt": "Say.", "references": ["a", "b"]}\n')
    wanted = Config(
        run_dir=str(tmp_path / "run"), source="references", path=str(tmp_path / "texts.jsonl"),
        references=ReferencesConfig(embedding=str(tmp_path / "nowhere")),
    )  # fmt: skip
    with pytest.raises(ConfigError, match=r"nowhere|pip install raymode\[embeddings\]"):
        build(wanted)
