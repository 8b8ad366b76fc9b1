"""The soak of `benchmarks/serving/soak.py` in short, on tiny models; and that it sees what it must."""

import threading
from pathlib import Path

import pytest

from benchmarks.support.serving.bad_clients import manners
from benchmarks.support.serving.endpoint_fixture import endpoint_fixture, wait_until
from benchmarks.support.serving.soak import Soak
from benchmarks.support.serving.timetable import Plan
from tests.serving.park import photo, version_files

ANSWERED = 'petpark_requests_total{route="/v1/classify",status="200"}'

SHORT = Plan(
    seconds=18,
    connections=4,
    most_per_second=20,
    swap_every=3,
    outage_every=10,
    outage_seconds=1,
    settling=4,
    warm_up=0,
    measuring=1,
    manner_every=0.2,
    leak_mb_a_minute=float("inf"),  # seconds say nothing of that
    timeout=60,
)


@pytest.fixture
def red_cat(tmp_path: Path) -> Path:
    path = tmp_path / "photo.jpg"
    path.write_bytes(photo(size=(320, 240)))
    return path


def test_good_callers_get_their_answers_while_versions_store_and_other_callers_do_what_they_want(tmp_path, red_cat):
    with endpoint_fixture(tmp_path, fast=False) as at:
        versions = [
            at.publish(version_files(tmp_path / str(sharpness), sharpness=sharpness), run=str(sharpness))
            for sharpness in (4.0, 5.0)
        ]
        at.promote(versions[0])
        with at.endpoint("endpoint", poll_seconds=0.2) as endpoint:
            seen = Soak(at, endpoint, versions, red_cat, SHORT).run()
            assert seen.unasked == []
            assert set(seen.good) == {200}
            assert seen.good[200] > SHORT.seconds
            assert seen.swaps == 4
            assert seen.outages == ["hangs"]
            assert seen.polls_lost > 0
            assert seen.experiments == 2
            assert seen.shadows > 0
            refused = [manner for manner in manners(red_cat.read_bytes()) if "left" not in manner.expected]
            for manner in refused:
                assert any(seen.bad[manner.name, end] for end in manner.expected), manner.name

            def kill_under_load(before: float) -> None:
                assert endpoint.process
                wait_until(lambda: endpoint.metric(ANSWERED) > before + 20, SHORT.timeout)
                endpoint.process.kill()

            told: list[str] = []

            def tell(said: str) -> None:
                told.append(said)
                if len(told) == 1:  # the full load is measured, and callers begin, however long that takes here
                    threading.Thread(target=kill_under_load, args=(endpoint.metric(ANSWERED),)).start()

            plan = Plan(seconds=2 * SHORT.timeout, most_per_second=1_000, measuring=0.5)
            doomed = Soak(at, endpoint, versions, red_cat, plan, tell=tell).run()
            assert "the endpoint ended" in doomed.unasked
            assert any(line.startswith("good callers: status 0") for line in doomed.unasked)
