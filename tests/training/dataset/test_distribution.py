"""How far photos moved over labels, cameras and days."""

import pytest
from hypothesis import given

from tests.training.dataset.test_manifest import manifests, photo
from training.dataset.distribution import UNKNOWN, Shift, shifts
from training.dataset.manifest import Manifest


def test_photos_are_counted_by_label_camera_and_day():
    before = Manifest.of([photo("a", group="gate", captured_at="2026-03-01T21:04:05"), photo("b", group="0" * 64)])
    after = Manifest.of([photo("a", label="dog", group="pond", captured_at="2026-03-02T00:00:00")])
    found = shifts(before, after)
    assert found["labels"] == Shift(before={"cat": 2}, after={"dog": 1})
    assert found["cameras"] == Shift(before={"gate": 1, UNKNOWN: 1}, after={"pond": 1})
    assert found["days"] == Shift(before={"2026-03-01": 1, UNKNOWN: 1}, after={"2026-03-02": 1})


@pytest.mark.parametrize(
    ("before", "after", "distance"),
    [
        ({"a": 5, "b": 5}, {"a": 50, "b": 50}, 0),
        ({"a": 5, "b": 5}, {"a": 10}, 0.5),
        ({"a": 1}, {"b": 9}, 1),
        ({}, {"a": 1}, 1),
        ({}, {}, 0),
    ],
)
def test_the_distance_is_the_share_that_lies_elsewhere(before: dict[str, int], after: dict[str, int], distance: float):
    assert Shift(before=before, after=after).distance == pytest.approx(distance)


@given(manifests, manifests)
def test_distances_are_shares_alike_from_both_sides_and_nothing_from_oneself(before: Manifest, after: Manifest):
    for name, shift in shifts(before, after).items():
        assert 0 <= shift.distance <= 1
        assert shift.distance == pytest.approx(shifts(after, before)[name].distance)
    assert all(shift.distance == 0 for shift in shifts(before, before).values())
