"""`pytest -m bench` prints how well clusters agree with labels, and what they cost."""

import cluster_bench
import pytest


@pytest.mark.bench
def test_print_the_quality_of_clusters(capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print()
        cluster_bench.main(["--problems", "100"])
