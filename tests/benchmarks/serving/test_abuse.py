"""`benchmarks/serving/abuse.py` in short, on a tiny model: who is bad meets a limit, and who is good an answer."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from benchmarks.serving import abuse as benchmark
from benchmarks.support.serving.abuse import kinds
from benchmarks.support.serving.endpoint_fixture import endpoint_fixture
from tests.serving.park import photo, version_files


@pytest.fixture
def quick(monkeypatch):
    """Without those kinds that last until the endpoint's timeout of 10 or 15 s."""
    monkeypatch.setattr(benchmark, "kinds", lambda photo: tuple(kind for kind in kinds(photo) if not kind.lasting))


def test_good_callers_are_answered_while_others_go_beyond_every_limit(tmp_path, quick):
    red_cat = tmp_path / "photo.jpg"
    red_cat.write_bytes(photo(size=(320, 240)))
    with endpoint_fixture(tmp_path, fast=False) as at:
        at.promote(at.publish(version_files(tmp_path / "version"), run="1"))
        with at.endpoint("endpoint") as endpoint:
            found = benchmark.abuse(endpoint, red_cat, rate=20, rounds=1, seconds=2, every=0.2)
    assert found.failed == 0
    assert found.unexpected == []
    assert len({name for name, _ in found.met}) >= 20
    assert all(sum(map(len, times.waits(found.answers))) > 10 for times in (found.quiet, found.abused))
    said = Console(file=io.StringIO(), width=120)
    met = found.met.copy()
    met["two Hosts", "200"] += 1
    wrong = replace(found, met=met, unexpected=["two Hosts: 200, 1 times"])
    assert benchmark.report(wrong, said) == 1
