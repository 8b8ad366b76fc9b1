"""What people say of a photo together, and the accuracy by week, camera and version that follows."""

from datetime import UTC, datetime
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.late_labels.estimates import choose_sample
from monitoring.late_labels.records import (
    Answer,
    Given,
    LabelRecordMalformed,
    PersonLog,
    Sample,
    SampledPhoto,
    Stratum,
)
from monitoring.late_labels.true_accuracy import (
    LabelledSample,
    State,
    agreement,
    is_right,
    read_labelled,
    true_accuracy,
    truth,
)
from registry.layout.data_lake import sample_key
from registry.store.memory_store import MemoryStore

AT = "2026-11-24T10:00:00.000000Z"


def given_by(person: str, label: str | None, photo: int = 1, at: str = AT) -> Given:
    answer = Answer.CLASS if label in ("cat", "dog") else Answer(label or "unknown")
    return Given(
        person=person, photo=photo, answer=answer, label=label if answer is Answer.CLASS else None, number=1, at=at
    )


def stratum(week: str = "2026-W48", camera: str = "gate", version: int = 3, label: str = "cat", recorded: int = 10):
    return Stratum(week=week, camera=camera, version=version, label=label, band=0, recorded=recorded)


def photo(of: int = 0, *, twice: bool = False) -> SampledPhoto:
    return SampledPhoto(
        key="telemetry/x",
        row=0,
        id=None,
        item=0,
        at=AT,
        digest=f"sha256:{'0' * 64}",
        confidence=0.5,
        stratum=of,
        twice=twice,
    )


def sample(strata: list[Stratum], photos: list[SampledPhoto], name: str = "20261123T00-20261130T00") -> Sample:
    return Sample(
        id=name,
        stack="prod",
        seed=0,
        by="x",
        at=AT,
        classes=("cat", "dog"),
        recorded=sum(each.recorded for each in strata),
        without_thumbnail=0,
        strata=tuple(strata),
        photos=tuple(photos),
    )


@pytest.mark.parametrize(
    ("said", "twice", "state"),
    [
        ([], False, State.OPEN),
        (["cat"], False, State.SETTLED),
        (["cat"], True, State.OPEN),
        (["cat", "cat"], True, State.SETTLED),
        (["cat", "dog"], True, State.DISPUTED),
        (["cat", "dog"], False, State.DISPUTED),
        (["cat", "dog", "cat"], True, State.SETTLED),
        (["cat", "dog", "neither"], True, State.UNKNOWN),
        (["unknown"], False, State.UNKNOWN),
        (["unknown", "unknown"], True, State.UNKNOWN),
        (["unknown", "cat"], True, State.DISPUTED),
        (["unknown", "cat", "cat"], True, State.SETTLED),
    ],
)
def test_labels_of_people_decide_together_in_whatever_order(said, twice, state):
    for order in permutations(said):
        found = truth([given_by(f"p{place}", label) for place, label in enumerate(order)], twice=twice)
        assert found.state is state
        if state is State.SETTLED:
            assert found.answer is not None
            assert found.answer.label == "cat"


def test_neither_is_right_for_a_class_of_empty_scenes_only():
    assert is_right("background", given_by("ana", "neither"))
    assert not is_right("cat", given_by("ana", "neither"))
    assert is_right("cat", given_by("ana", "cat"))
    assert not is_right("background", given_by("ana", "cat"))


def test_accuracy_is_grouped_and_weighted_and_open_photos_are_counted():
    strata = [
        stratum(camera="gate", recorded=90),
        stratum(camera="gate", label="dog", recorded=10),
        stratum(camera="pond", version=4, recorded=50),
        stratum(week="2026-W49", recorded=7),
    ]
    photos = [photo(0), photo(0), photo(1), photo(2), photo(2, twice=True), photo(3)]
    given = {
        1: [given_by("ana", "cat")],
        2: [given_by("ana", "cat")],
        3: [given_by("ana", "neither")],
        4: [given_by("ana", "unknown")],
        5: [given_by("ana", "cat"), given_by("vera", "dog")],
    }
    found = LabelledSample(sample=sample(strata, photos), given=given)
    first, second = true_accuracy([found])
    assert (first.week, first.camera, first.version) == ("2026-W48", None, None)
    assert first.accuracy == pytest.approx(0.9)
    assert first.interval[0] < 0.9 < first.interval[1]
    assert (first.recorded, first.drawn, first.labelled, first.unknown, first.disputed, first.open) == (
        150,
        5,
        3,
        1,
        1,
        0,
    )
    assert first.covered == pytest.approx(100 / 150)
    assert (second.week, second.accuracy, second.interval, second.open, second.covered) == (
        "2026-W49",
        None,
        (0.0, 1.0),
        1,
        0.0,
    )
    by_camera = true_accuracy([found], by=("camera", "version"))
    assert [(each.camera, each.version) for each in by_camera] == [("gate", 3), ("pond", 4)]
    (everything,) = true_accuracy([found], by=())
    assert everything.recorded == 157
    assert true_accuracy([]) == []
    with pytest.raises(ValueError, match="colour"):
        true_accuracy([found], by=("colour",))


def test_agreement_is_of_the_first_two_people_on_photos_drawn_for_two():
    photos = [photo(0, twice=True), photo(0, twice=True), photo(0)]
    given = {
        1: [given_by("ana", "cat"), given_by("vera", "cat")],
        2: [given_by("ana", "cat"), given_by("vera", "dog"), given_by("eva", "dog")],
        3: [given_by("ana", "cat"), given_by("vera", "dog")],
    }
    found = agreement([LabelledSample(sample=sample([stratum()], photos), given=given)])
    assert found is not None
    assert (found.photos, found.share) == (2, 0.5)
    assert agreement([]) is None


@given(st.integers(0, 2**32 - 1))
def test_who_labels_everything_right_measures_the_recorded_accuracy_exactly(seed: int):
    """All photos drawn, so that no chance is left: the weights alone could be wrong."""
    rng = np.random.default_rng(seed)
    cameras, right = rng.integers(0, 3, 60), rng.uniform(size=60) < 0.8
    drawn = choose_sample(cameras.tolist(), np.full(60, 0.7), count=60, seed=seed)
    names = sorted(set(cameras.tolist()))
    strata = [stratum(camera=str(name), recorded=int((cameras == name).sum())) for name in names]
    photos = [photo(names.index(cameras[place])) for place in drawn.indices]
    given = {
        number: [given_by("ana", "cat" if right[place] else "dog", number)]
        for number, place in enumerate(drawn.indices.tolist(), start=1)
    }
    (found,) = true_accuracy([LabelledSample(sample=sample(strata, photos), given=given)])
    assert found.accuracy == pytest.approx(right.mean())
    assert found.covered == 1


def test_samples_are_read_with_the_newest_label_of_each_person():
    store = MemoryStore()
    for name in ("20261116T00-20261123T00", "20261123T00-20261130T00"):
        made = sample([stratum()], [photo(0, twice=True)], name)
        store.create(sample_key("prod", name), made.to_bytes())
    late = PersonLog(store, "prod", "20261123T00-20261130T00", "ana")
    early = PersonLog(store, "prod", "20261123T00-20261130T00", "vera")
    early.add(1, Answer.CLASS, "cat", by="v", at="2026-12-01T10:00:00.000000Z", seen=None)
    late.add(1, Answer.CLASS, "cat", by="a", at="2026-12-01T11:00:00.000000Z", seen=None)
    late.add(1, Answer.CLASS, "dog", by="a", at="2026-12-01T12:00:00.000000Z", seen=1)
    first, second = read_labelled(store, "prod")
    assert (first.sample.id, first.given) == ("20261116T00-20261123T00", {})
    assert [(each.person, each.label) for each in second.given[1]] == [("vera", "cat"), ("ana", "dog")]
    middle = datetime(2026, 11, 23, tzinfo=UTC)
    assert [each.sample.id for each in read_labelled(store, "prod", start=middle)] == [second.sample.id]
    assert [each.sample.id for each in read_labelled(store, "prod", end=middle)] == [first.sample.id]
    assert read_labelled(store, "test") == []


def test_a_sample_that_cannot_be_read_is_named():
    store = MemoryStore()
    key = sample_key("prod", "20261123T00-20261130T00")
    store.create(key, b"{}")
    with pytest.raises(LabelRecordMalformed, match=key):
        read_labelled(store, "prod")
