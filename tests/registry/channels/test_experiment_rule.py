"""When a challenger has won, done harm, or must wait."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.channels.experiment_rule import EXAMPLES, Arm, Evidence, Finding, Pair, Rule, RuleInvalid, judge
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
PAIRS = st.dictionaries(
    st.tuples(st.sampled_from("abc"), st.sampled_from("abc")),
    st.tuples(
        st.integers(1, 10**6),
        st.integers(0, 2**20),  # as floats they add up without rounding, in any order
        st.lists(st.sampled_from("01234567"), min_size=1, max_size=EXAMPLES, unique=True).map(sorted).map(tuple),
    ),
).map(
    lambda found: tuple(
        Pair(champion=one, challenger=other, photos=photos, doubt=float(doubt), examples=() if one == other else ids)
        for (one, other), (photos, doubt, ids) in sorted(found.items())
    )
)
EVIDENCE = st.builds(
    lambda champion, challenger, compared, differ, left_out, endpoints, pairs: Evidence(
        pairs=pairs,
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
    PAIRS,
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


def pair(champion: str, challenger: str, photos: int, doubt: float = 0.2) -> Pair:
    """Photos of which each is doubted as much."""
    ids = () if champion == challenger else (f"{champion}-{challenger}",)
    return Pair(champion=champion, challenger=challenger, photos=photos, doubt=photos * doubt, examples=ids)


def canary(champion: Arm, challenger: Arm, *pairs: Pair) -> Evidence:
    """Without pairs, both arms agreed about all that the challenger answered."""
    agreed = (pair("cat", "cat", challenger.answers),) if challenger.answers else ()
    return Evidence(champion=champion, challenger=challenger, endpoints=1, pairs=pairs or agreed)


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


def test_a_challenger_whose_labels_are_swapped_is_rejected_after_a_dozen_photos_and_they_are_named():
    seen = canary(arm(300), arm(12), pair("cat", "dog", 6), pair("dog", "cat", 6))
    judgement = judge(RULE, "canary", seen)
    assert judgement.ruling == "reject"
    assert judgement.reasons[0].startswith("disagreement 100.00%")
    assert judgement.reasons[1:] == (
        "6 photos: cat became dog, such as cat-dog",
        "6 photos: dog became cat, such as dog-cat",
    )


def test_two_labels_of_many_that_changed_places_are_found_though_few_photos_show_them():
    others = [pair(f"breed {number}", f"breed {number}", 90) for number in range(35)]
    for photos, ruling in ((0, "promote"), (6, "wait"), (50, "reject")):
        swapped = [pair(*labels, photos) for labels in (("siamese", "birman"), ("birman", "siamese")) if photos]
        judgement = judge(RULE, "canary", canary(arm(60_000), arm(3150 + 2 * photos), *others, *swapped))
        assert judgement.ruling == ruling
    assert [reason.partition(" 100")[0] for reason in judgement.reasons[:2]] == [
        "disagreement about birman",
        "disagreement about siamese",
    ]


def test_a_challenger_may_contradict_a_champion_that_is_unsure_as_at_night():
    unsure = (pair("cat", "cat", 2500, doubt=0.5), pair("cat", "dog", 2500, doubt=0.5))
    assert judge(RULE, "canary", canary(arm(5000), arm(5000), *unsure)).ruling == "promote"


def test_a_canary_that_nobody_compared_with_the_champion_does_not_win():
    seen = replace(canary(arm(5000), arm(5000)), pairs=())
    assert judge(RULE, "canary", seen).ruling == "wait"


def test_versions_that_are_as_often_wrong_as_they_say_are_hardly_ever_rejected_however_often_one_looks():
    """The worst that is allowed: each photo that one of them doubts is contradicted. 30 looks at each of 100
    experiments. Stated is a chance of 0.0005 for each kind of disagreement, so 0.1 rejections are expected at most.
    """
    rng = np.random.default_rng(7)
    rejected = 0
    for _ in range(100):
        doubt = rng.beta(1, 4, size=1500)  # 0.2 in the mean
        differs = np.cumsum(rng.random(1500) < RULE.disagreement + doubt)
        doubts = np.cumsum(doubt)
        looks = np.unique(np.geomspace(1, 1500, 30).astype(int))
        rejected += any(
            judge(
                RULE, "canary", canary(arm(0), arm(0), *_contradicted(int(differs[n - 1]), n, float(doubts[n - 1])))
            ).ruling
            == "reject"
            for n in looks
        )
    assert rejected <= 1


def _contradicted(differ: int, photos: int, doubt: float) -> list[Pair]:
    counts = {"cat": photos - differ, "dog": differ}
    return [pair("cat", label, count, doubt / photos) for label, count in counts.items() if count]


@pytest.mark.parametrize(("confidence", "ruling"), [(0.8, "reject"), (0.88, "promote"), (0.99, "promote")])
def test_a_challenger_may_be_surer_than_the_champion_and_not_much_less_sure(confidence, ruling):
    assert judge(RULE, "canary", canary(arm(5000), arm(5000, confidence=confidence))).ruling == ruling


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
    assert sum(each.photos for each in both.pairs) == sum(each.photos for each in (*one.pairs, *other.pairs))
    assert both.challenger.answers == one.challenger.answers + other.challenger.answers


def test_evidence_without_pairs_is_stored_as_it_was_before_there_were_any():
    assert "pairs" not in Evidence(compared=3).to_dict()


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


def limits(mode, evidence) -> dict[str, Finding]:
    """What was looked at, by name."""
    return {finding.limit: finding for finding in judge(RULE, mode, evidence).findings}


@pytest.mark.parametrize(
    ("ours", "theirs", "compared"),
    [(1, 1, False), (1, 2, False), (2, 1, False), (2, 2, True)],
)
def test_means_are_compared_from_two_answers_of_each_arm_for_one_has_no_variance(ours, theirs, compared):
    found = limits("canary", canary(arm(ours), arm(theirs)))
    assert {"slower", "confidence_shift"} <= found.keys() if compared else found.keys() == {"errors", "disagreement"}


def test_each_kind_of_experiment_is_held_against_its_own_limits():
    seen = replace(canary(arm(50), arm(50)), compared=50, disagreed=1)
    assert set(limits("shadow", seen)) == {"errors", "confidence_shift", "disagreement"}
    assert set(limits("canary", seen)) == {"errors", "confidence_shift", "slower", "disagreement"}
    assert limits("ab", seen) == limits("canary", seen)
    assert limits("canary", replace(seen, champion=Arm(), challenger=Arm(), pairs=())) == {}
    assert set(limits("shadow", replace(seen, compared=0))) == {"errors", "confidence_shift"}


def test_findings_are_what_a_textbook_says_of_these_counts():
    """A difference of means with its normal interval at 99.9 % (z = 3.29), by hand."""
    champion = arm(101, failures=0, seconds=0.010, confidence=0.9)
    challenger = arm(101, failures=2, seconds=0.011, confidence=0.8)
    found = limits("canary", canary(champion, challenger))
    assert {name: finding.allowed for name, finding in found.items()} == pytest.approx(
        {"errors": 0.01, "confidence_shift": 0.05, "slower": 0.25, "disagreement": 0.1 + 0.2}
    )
    assert found["errors"].value == pytest.approx(2 / 103)
    shift = found["confidence_shift"]
    assert shift.value == pytest.approx(0.1)
    error = 3.29 * ((0.01 / 100) + (0.01 / 100)) ** 0.5
    assert (shift.low, shift.high) == pytest.approx((0.1 - error, 0.1 + error))
    slower = found["slower"]
    assert slower.value == pytest.approx(0.1)
    error = 3.29 * ((0.001**2 / 100) + (0.0011**2 / 100)) ** 0.5 / 0.01
    assert (slower.low, slower.high) == pytest.approx((0.1 - error, 0.1 + error))
    assert found["disagreement"].value == 0.0


def test_no_finding_says_that_a_challenger_is_better_by_more_than_the_limit():
    """Otherwise being faster, surer or more often right would hide harm in what is shown as an interval."""
    better = canary(arm(5000, failures=900, seconds=0.1, confidence=0.5), arm(5000, seconds=0.01, confidence=0.99))
    found = limits("canary", better)
    for limit, allowed in (("errors", 0.01), ("confidence_shift", 0.05), ("slower", 0.25)):
        assert (found[limit].low, found[limit].high) == (-allowed, -allowed)
        assert found[limit].value < -allowed


@pytest.mark.parametrize(("photos", "named"), [(4, False), (5, True)])
def test_a_class_holds_a_win_up_from_five_photos(photos, named):
    pairs = (pair("cat", "cat", 4000, doubt=0.1), pair("dog", "cat", photos, doubt=0.1))
    found = limits("canary", canary(arm(5000), arm(5000), *pairs))
    assert ("disagreement about dog" in found) is named
    assert "disagreement about cat" not in found
    if named:
        about = found["disagreement about dog"]
        assert (about.value, about.allowed) == (1.0, pytest.approx(0.5 + 0.1))


def test_three_contradictions_are_named_the_most_frequent_first():
    pairs = (pair("a", "b", 70), pair("b", "a", 90), pair("c", "a", 60), pair("a", "a", 500), pair("b", "c", 80))
    reasons = judge(RULE, "canary", canary(arm(5000), arm(5000), *pairs)).reasons
    assert [reason for reason in reasons if "became" in reason] == [
        "90 photos: b became a, such as b-a",
        "80 photos: b became c, such as b-c",
        "70 photos: a became b, such as a-b",
    ]


@pytest.mark.parametrize(
    ("mode", "changes", "seen"),
    [
        ("shadow", {"compared": 499}, 499),
        ("canary", {"champion": arm(498)}, 498),
        ("canary", {"challenger": arm(497)}, 497),
        ("ab", {"pairs": (pair("cat", "cat", 400), pair("dog", "dog", 96))}, 496),
    ],
)
def test_a_win_waits_until_the_scarcest_kind_of_answer_suffices(mode, changes, seen):
    enough = replace(canary(arm(500), arm(500), pair("cat", "cat", 500, doubt=0.1)), compared=500)
    assert judge(RULE, mode, enough).reasons[0] != f"{seen} of at least 500 answers and comparisons so far"
    judgement = judge(RULE, mode, replace(enough, **changes))
    assert judgement.ruling == "wait"
    assert judgement.reasons == (f"{seen} of at least 500 answers and comparisons so far",)
