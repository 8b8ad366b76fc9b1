"""What differs between two datasets."""

from dataclasses import replace

from hypothesis import assume, given
from hypothesis import strategies as st

from tests.training.dataset.test_manifest import manifests, photo
from training.dataset.difference import DatasetDifference, PhotoChange, difference
from training.dataset.manifest import Manifest, Photo, Split


def other(key: str, sha256: str, **changes: object) -> Photo:
    return photo(key, sha256=sha256 * 64, label=key.split("/")[0], **changes)


def described(manifest: Manifest) -> dict[str, Photo]:
    return {each.sha256: each for each in manifest.photos}


def applied(found: DatasetDifference, before: Manifest) -> dict[str, Photo]:
    """`before` with everything done that `found` says."""
    photos = described(before)
    for gone in found.removed:
        del photos[gone.sha256]
    for change in (*found.relabelled, *found.moved, *found.redescribed):
        assert photos[change.before.sha256] in (change.before, change.after)
        photos[change.after.sha256] = change.after
    return photos | {each.sha256: each for each in found.added}


def test_a_photo_that_lies_in_another_class_folder_is_relabelled_not_replaced() -> None:
    found = difference(Manifest.of([other("cat/1.jpg", "a")]), Manifest.of([other("dog/1.jpg", "a")]))
    assert [(change.before.key, change.after.key) for change in found.relabelled] == [("cat/1.jpg", "dog/1.jpg")]
    assert (found.added, found.removed, found.moved, found.redescribed) == ((), (), (), ())


def test_other_bytes_under_the_same_name_are_another_photo() -> None:
    found = difference(Manifest.of([other("cat/1.jpg", "a")]), Manifest.of([other("cat/1.jpg", "b")]))
    assert [each.sha256[0] for each in (*found.removed, *found.added)] == ["a", "b"]


def test_a_photo_can_be_relabelled_and_moved_between_splits_at_once() -> None:
    before, after = other("cat/1.jpg", "a", split=Split.TRAIN), other("dog/1.jpg", "a", split=Split.TEST)
    found = difference(Manifest.of([before]), Manifest.of([after]))
    assert found.relabelled == found.moved == (PhotoChange(before=before, after=after),)


def test_a_photo_with_another_name_only_is_redescribed() -> None:
    found = difference(Manifest.of([other("cat/1.jpg", "a")]), Manifest.of([other("cat/first.jpg", "a")]))
    assert len(found.redescribed) == 1
    assert not found.empty


def test_photos_are_counted_by_class_and_split_on_both_sides() -> None:
    before = Manifest.of([other("cat/1.jpg", "a"), other("dog/1.jpg", "b", split=Split.TEST)])
    found = difference(before, Manifest.of([other("dog/1.jpg", "b")]))
    assert found.counts_before == before.counts()
    assert found.counts_after == {"dog": {"train": 1, "validation": 0, "test": 0}}


@given(manifests, manifests)
def test_nothing_differs_exactly_where_the_manifests_are_the_same(before: Manifest, after: Manifest) -> None:
    assert difference(before, before).empty
    assert difference(before, after).empty == (before == after)


@given(manifests, manifests)
def test_seen_from_the_other_side_what_was_added_was_removed(before: Manifest, after: Manifest) -> None:
    there, back = difference(before, after), difference(after, before)
    assert (there.added, there.removed) == (back.removed, back.added)
    assert {(c.before, c.after) for c in there.moved} == {(c.after, c.before) for c in back.moved}


@given(manifests, manifests, st.data())
def test_the_difference_is_all_that_is_needed_to_get_from_one_to_the_other(
    before: Manifest, after: Manifest, data: st.DataObject
) -> None:
    kept = [replace(each, label=data.draw(st.sampled_from([each.label, "fox"]))) for each in before.photos]
    mixed = Manifest.of({each.key: each for each in (*after.photos, *kept)}.values())
    assume(all(len(described(each)) == len(each.photos) for each in (before, mixed)))
    assert applied(difference(before, mixed), before) == described(mixed)
