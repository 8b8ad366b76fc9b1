"""Photos that somebody brings: figures with intervals, by group, and what they may be compared with."""

from hypothesis import given
from hypothesis import strategies as st

from training.evaluation.acceptance import FEWEST, Answered, Claim, claimed_minus_found, meaning, measure

LABELS = ("cat", "dog")
answers = st.lists(
    st.builds(
        Answered,
        key=st.just("a.jpg"),
        truth=st.sampled_from(LABELS),
        answer=st.sampled_from(LABELS),
        groups=st.dictionaries(st.sampled_from(["breed", "camera"]), st.sampled_from("abc")),
    ),
    min_size=1,
    max_size=60,
)


@given(answers)
def test_every_photo_is_counted_once_in_all_in_its_class_and_in_each_of_its_groups(answered: list[Answered]):
    found = measure(answered)
    assert found.all.photos == len(answered) == sum(each.photos for each in found.classes)
    assert found.all.right == sum(each.right for each in found.classes) == len(answered) - len(found.wrong)
    for column in ("breed", "camera"):
        values = [photo.groups[column] for photo in answered if column in photo.groups]
        listed = {each.value: each.photos for each in found.groups if each.column == column}
        assert listed == {value: values.count(value) for value in set(values) if values.count(value) >= FEWEST}
        assert found.unlisted.get(column, 0) == len(set(values)) - len(listed)
    for each in (found.all, *found.classes, *found.groups):
        low, high = each.interval
        assert low - 1e-9 <= each.share <= high + 1e-9


def test_a_claim_that_new_photos_do_not_keep_is_said():
    claim = Claim(accuracy=0.858, interval=(0.81, 0.89), photos=300)
    found = measure([Answered(key=str(n), truth="cat", answer=LABELS[n % 4 == 0], groups={}) for n in range(240)])
    low, high = claimed_minus_found(claim, found.all)
    assert 0 < low < 0.108 < high
    assert "harder for it by" in meaning(claim, found.all)
    assert "not for new breeds" in meaning(claim, found.all)
    assert "do not differ" in meaning(Claim(accuracy=0.76, interval=(0.7, 0.8), photos=300), found.all)
    assert "not for new breeds" in meaning(None, found.all)


def test_a_version_without_figures_of_its_own_claims_nothing():
    assert Claim.of({"accuracy": 0.9}) is None
    assert Claim.of({"accuracy": 0.9, "accuracy_low": 0.8, "accuracy_high": 0.95, "n": 100.0}) == Claim(
        accuracy=0.9, interval=(0.8, 0.95), photos=100
    )
