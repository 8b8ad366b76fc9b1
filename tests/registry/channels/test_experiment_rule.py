"""When a challenger has won, done harm, or must wait."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.channels.experiment_rule import Arm, Evidence, Rule, RuleInvalid, judge
from registry.encoding import canonical, parse_canonical

RULE = Rule(least=500, errors=0.01, slower=0.25, disagreement=0.1, confidence_shift=0.05)

COUNTS = st.integers(0, 10**6)
SUMS = st.floats(0, 1e6)
ARMS = st.builds(
    Arm,
    answers=COUNTS,
    failures=COUNTS,
    seconds=SUMS,
    seconds_squared=SUMS,
    confidence=SUMS,
    confidence_squared=SUMS,
)
EVIDENCE = st.builds(
    lambda champion, challenger, compared, differ, left_out, endpoints: Evidence(
        champion=champion,
        challenger=challenger,
        compared=compared,
        disagreed=int(compared * differ),
        left_out=left_out,
        endpoints=endpoints,
    ),
    ARMS,
    ARMS,
    COUNTS,
    st.floats(0, 1),
    COUNTS,
    st.integers(0, 100),
)


def arm(answers: int, *, failures: int = 0, seconds: float = 0.01, confidence: float = 0.9, spread: float = 0.1) -> Arm:
    """An arm whose answers spread around a mean time and a mean confidence."""
    return Arm(
        answers=answers,
        failures=failures,
        seconds=answers * seconds,
        seconds_squared=answers * seconds**2 * (1 + spread**2),
        confidence=answers * confidence,
        confidence_squared=answers * (confidence**2 + spread**2),
    )


def canary(champion: Arm, challenger: Arm) -> Evidence:
    return Evidence(champion=champion, challenger=challenger, endpoints=1)


def test_an_equal_challenger_wins_once_it_has_answered_enough():
    assert judge(RULE, "canary", canary(arm(5000), arm(499))).ruling == "wait"
    assert judge(RULE, "canary", canary(arm(5000), arm(5000))).ruling == "promote"


def test_a_challenger_that_fails_often_is_rejected_long_before_it_has_answered_enough():
    judgement = judge(RULE, "canary", canary(arm(5000), arm(60, failures=20)))
    assert judgement.ruling == "reject"
    assert "errors" in judgement.reasons[0]


def test_one_failure_is_no_proof_of_harm_and_no_win_either():
    assert judge(RULE, "canary", canary(arm(500), arm(499, failures=1))).ruling == "wait"


@pytest.mark.parametrize(("seconds", "ruling"), [(0.005, "promote"), (0.0101, "promote"), (0.02, "reject")])
def test_only_a_slower_challenger_is_rejected_for_its_time(seconds, ruling):
    assert judge(RULE, "canary", canary(arm(5000), arm(5000, seconds=seconds))).ruling == ruling


@pytest.mark.parametrize("seconds", [0.0, 5e-324, 1e-310])
def test_a_time_that_nothing_takes_is_held_against_nobody(seconds):
    champion = Arm(answers=2, seconds=seconds)
    judgement = judge(RULE, "canary", canary(champion, arm(5000, seconds=1.0)))
    assert "slower" not in {finding.limit for finding in judgement.findings}


def test_a_shadows_time_means_nothing_for_it_runs_last():
    evidence = replace(canary(arm(5000, seconds=0.0), arm(5000, seconds=9.0)), compared=5000, disagreed=10)
    assert judge(RULE, "shadow", evidence).ruling == "promote"


@pytest.mark.parametrize(("disagreed", "ruling"), [(100, "promote"), (490, "wait"), (1000, "reject")])
def test_a_shadow_may_disagree_about_as_much_as_is_allowed(disagreed, ruling):
    evidence = replace(canary(arm(5000), arm(5000)), compared=5000, disagreed=disagreed)
    assert judge(RULE, "shadow", evidence).ruling == ruling


@pytest.mark.parametrize("confidence", [0.8, 0.99])
def test_confidence_may_shift_neither_down_nor_up(confidence):
    assert judge(RULE, "canary", canary(arm(5000), arm(5000, confidence=confidence))).ruling == "reject"


@given(EVIDENCE, st.sampled_from(["shadow", "canary", "ab"]))
def test_any_counts_lead_to_a_ruling_with_a_reason(evidence, mode):
    judgement = judge(RULE, mode, evidence)
    assert judgement.reasons or judgement.ruling == "promote"
    if judgement.ruling == "promote":
        assert all(finding.kept for finding in judgement.findings)


@given(EVIDENCE, EVIDENCE)
def test_what_two_endpoints_counted_adds_up_in_either_order(one, other):
    both = one + other
    assert both == other + one
    assert both.compared == one.compared + other.compared
    assert both.challenger.answers == one.challenger.answers + other.challenger.answers


@given(EVIDENCE)
def test_evidence_is_read_back_as_it_was_stored(evidence):
    assert Evidence.read(parse_canonical(canonical(evidence.to_dict()))) == evidence


def test_luck_alone_hardly_ever_rejects_an_equal_challenger_however_often_one_looks():
    """Twenty looks at each of 300 experiments between equals: the intervals at 99.9 % leave a few in a hundred."""
    rng = np.random.default_rng(0)
    rejected = 0
    for _ in range(300):
        failures = np.cumsum(rng.binomial(100, 0.02, size=(2, 20)), axis=1)
        looks = (
            judge(
                replace(RULE, errors=0.0),
                "canary",
                canary(
                    arm(100 * n - int(failures[0, n - 1]), failures=int(failures[0, n - 1])),
                    arm(100 * n - int(failures[1, n - 1]), failures=int(failures[1, n - 1])),
                ),
            ).ruling
            for n in range(1, 21)
        )
        rejected += "reject" in looks
    assert rejected <= 6


@pytest.mark.parametrize("limits", [{"least": 0}, {"errors": -0.1}, {"slower": float("nan")}])
def test_a_rule_that_cannot_be_held_is_refused_by_name(limits):
    with pytest.raises(RuleInvalid, match=next(iter(limits))):
        Rule(**limits)
