"""Parts that are written from the journal: problems in their order, however storage answers."""

import time

import pytest

from raymode.errors import StorageError
from raymode.sets import journal
from raymode.sets.parts import READERS, file_name, is_whole, write_part
from raymode.sets.verify import Judged
from raymode.store import Store

PROBLEMS = 3 * READERS + 1


class Backwards(Store):
    """Answers a question the later the sooner it was asked, and counts how many wait at a time."""

    def __init__(self, url):
        super().__init__(url)
        self.waiting = self.most = 0

    def read_bytes(self, name):
        self.waiting += 1
        self.most = max(self.most, self.waiting)
        position = int(name.removesuffix(".arrow").rpartition("/")[2])
        time.sleep(0.02 * (READERS - position % READERS))
        self.waiting -= 1
        return super().read_bytes(name)


@pytest.fixture
def store(tmp_path):
    filled = Backwards(str(tmp_path))
    for position in range(PROBLEMS):
        row = {
            "table": "problems",
            "row": f"row {position}",
            "problem_id": None,
            "reason": "no_tests",
            "detail": "",
        }
        journal.save(filled, 0, position, Judged(rejected=[row]))
    return filled


def test_problems_keep_their_order_and_are_read_a_few_at_a_time(store):
    write_part(store, 0, PROBLEMS)
    rows = store.rows(file_name("rejected", 0))
    assert [row["row"] for row in rows] == [f"row {position}" for position in range(PROBLEMS)]
    assert is_whole(store, 0)
    assert 1 < store.most <= READERS


def test_a_problem_that_is_not_there_leaves_no_part(store):
    store.delete(f"journal/part-00000/{READERS:06d}.arrow")
    with pytest.raises((StorageError, FileNotFoundError)):
        write_part(store, 0, PROBLEMS)
    assert not is_whole(store, 0)
    assert not store.exists(file_name("rejected", 0))
