"""The cost of networks is judged by rounds side by side, and not at all where the machine was too noisy."""

import itertools
import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.serving import networks
from benchmarks.serving.networks import EIGHT, SMALL, WHOLE, in_turns, promises, table
from benchmarks.support.figures import Promise, ratios

ROUNDS = st.integers(6, 30)


@given(ROUNDS, st.floats(0.1, 10), st.floats(0.1, 10), st.lists(st.floats(0.5, 50), min_size=30, max_size=30))
def test_a_neighbour_that_slows_whole_rounds_down_changes_no_verdict(
    rounds: int, ratio: float, most: float, busy: list[float]
):
    theirs = busy[:rounds]
    promise = Promise.of("cost", ratios([ratio * each for each in theirs], theirs), most=most)
    assert promise.median == pytest.approx(ratio)
    if abs(ratio - most) > 1e-6:
        assert promise.kept is (ratio < most)


@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=30), st.floats(0.1, 10))
def test_a_verdict_needs_an_interval_on_one_side_of_the_bound(values: list[float], most: float):
    promise = Promise.of("cost", values, most=most)
    assert promise.kept is (True if promise.high <= most else False if promise.low > most else None)
    if len(values) < 6:
        assert promise.kept is None
        assert "NOTHING CONCLUDED" in str(promise)


def test_rounds_of_which_half_say_otherwise_conclude_nothing():
    assert Promise.of("cost", [0.5, 2.0] * 10, most=1.0).kept is None


@given(ROUNDS, st.integers(1, 5))
def test_networks_take_turns_and_each_is_first_as_often_as_the_others(rounds: int, calls: int):
    asked: list[str] = []
    ways = {name: lambda name=name: asked.append(name) for name in "abc"}
    ticks = itertools.count()
    spent = in_turns(ways, rounds=rounds, calls=calls, clock=lambda: float(next(ticks)))
    assert spent == {name: [1000 / calls] * rounds for name in "abc"}
    turns = asked[3:][::calls]  # after each was called once to warm up
    assert all(sorted(turns[place : place + 3]) == list("abc") for place in range(0, 3 * rounds, 3))
    firsts = [turns[::3].count(name) for name in "abc"]
    assert max(firsts) - min(firsts) <= 1


def test_decoding_counts_where_a_photo_is_promised_and_not_where_floats_and_eight_bits_are_compared():
    spent = {"decoding": [2.0] * 8, SMALL: [1.0] * 8, WHOLE: [6.0] * 8, EIGHT: [3.0] * 8}
    whole, eight = promises(spent)
    assert (whole.median, eight.median) == pytest.approx((8 / 3, 0.5))
    assert whole.kept is eight.kept is True
    shown = table(spent, {SMALL: 4.0, WHOLE: 13.0, EIGHT: 4.0})
    assert [list(column.cells)[-1] for column in shown.columns][2:5] == ["3.00 (3.00 to 3.00)", "5.00", "400"]


def test_nothing_concluded_has_a_status_of_its_own(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    much, noisy, little = [3.5] * 10, [0.5, 9.0] * 10, [0.5] * 10

    class Answering:
        def __init__(self, _path: object) -> None: ...

        def probabilities(self, _pixels: object) -> None: ...

    monkeypatch.setattr(networks, "Session", Answering)
    monkeypatch.setattr(networks, "make_models", lambda directory: dict.fromkeys((SMALL, WHOLE, EIGHT), directory))
    monkeypatch.setattr(sys, "argv", ["networks.py", "--json", "--rounds", "1", "--calls", "1"])
    for values, status in ((much, 1), (noisy, networks.INCONCLUSIVE), (little, 0)):
        monkeypatch.setattr(networks, "promises", lambda _spent, values=values: (Promise.of("it", values, most=1),))
        assert networks.main() == status
        assert json.loads(capsys.readouterr().out)["promises"] == {"it": {0: True, 1: False, 3: None}[status]}
