"""`pytest -m bench` prints the sandbox's benchmark for a small corpus."""

import pytest
import sandbox_bench


@pytest.mark.bench
def test_print_the_costs_of_judging(capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print()
        sandbox_bench.main(["--rounds", "3", "--programs", "8", "--kinds", "small", "wrong-first"])
