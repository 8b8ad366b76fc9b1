"""What the benchmark of servers concludes, and when it refuses to."""

from hypothesis import given
from hypothesis import strategies as st

from benchmarks.support.throughput.contest import MOST_SPREAD, Pair, noise, verdict
from benchmarks.support.throughput.limit import Limit
from benchmarks.support.throughput.wrk import Load


def pair(rate: float, limit: float) -> Pair:
    return Pair(
        load=Load(per_second=rate, p50_ms=20, p99_ms=40, cpu_ms=3, switches=12, failed=0),
        limit=Limit(per_second=limit, p50_ms=5, cpu_ms=2.5),
    )


QUIET = st.lists(st.tuples(st.floats(0.1, 1.0), st.floats(100, 100 * MOST_SPREAD)), min_size=1, max_size=9)


@given(QUIET)
def test_servers_below_a_limit_that_stays_are_no_noise(rounds: list[tuple[float, float]]):
    pairs = [pair(share * limit * 0.999, limit) for share, limit in rounds]
    assert noise({"ours": pairs}) == []


@given(QUIET, st.floats(1.001, 3), st.data())
def test_one_round_in_which_any_server_beats_its_limit_concludes_nothing(rounds, beyond: float, data: st.DataObject):
    pairs = [pair(share * limit * 0.999, limit) for share, limit in rounds]
    place = data.draw(st.integers(0, len(pairs) - 1))
    limit = pairs[place].limit.per_second
    others = [*pairs[:place], pair(limit * beyond, limit), *pairs[place + 1 :]]
    (reason,) = noise({"ours": pairs, "theirs": others})
    assert reason == f"theirs was faster than its limit in 1 of {len(pairs)} rounds"


@given(QUIET, st.floats(1.01, 9))
def test_a_limit_that_moves_concludes_nothing_even_between_servers(rounds, moved: float):
    pairs = [pair(share * limit * 0.999, limit) for share, limit in rounds]
    fastest = max(each.limit.per_second for each in pairs)
    reasons = noise({"ours": pairs, "theirs": [pair(1, fastest / (MOST_SPREAD * moved))]})
    assert [reason.startswith("the limit moved by") for reason in reasons] == [True]


def test_a_promise_is_kept_or_missed_by_the_median_or_left_open():
    assert verdict([0.8, 0.9, 1.0], promise=0.88, at_least=True, reasons=()).endswith("(promise: ≥ 0.88, kept)")
    assert verdict([0.8, 0.8, 1.0], promise=0.88, at_least=True, reasons=()).endswith("(promise: ≥ 0.88, missed)")
    assert verdict([12.0, 15.0, 13.0], promise=14, at_least=False, reasons=()).endswith("(promise: ≤ 14, kept)")
    assert verdict([15.0], promise=14, at_least=False, reasons=()).endswith("(promise: ≤ 14, missed)")
    assert "not concluded" in verdict([0.9], promise=0.88, at_least=True, reasons=["the limit moved"])
