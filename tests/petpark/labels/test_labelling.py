"""One person labels blind; labels only grow, whatever tabs and people do at the same time."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring.late_labels.records import Answer, LabelRecordMalformed, LabelsMoved, PersonLog
from petpark.labels.labelling import LabelInvalid, Labelling, PhotoGone
from registry.layout.data_lake import label_key, labeller_prefix
from registry.store.memory_store import MemoryStore
from tests.petpark.conftest import Place
from tests.petpark.labels.recorded_photos import Ticking, arn, draw, labelling, lake_of, record

SAID = Answer.CLASS


@pytest.fixture(scope="module")
def recorded() -> MemoryStore:
    store = MemoryStore()
    record(store)
    return store


@pytest.fixture
def sample(place: Place) -> Any:
    return draw(place)


def state(of: Labelling) -> Mapping[str, Any]:
    of.refresh()
    return of.state()


def for_two(sample: Any) -> int:
    return next(number for number, photo in enumerate(sample.photos, start=1) if photo.twice)


def for_one(sample: Any) -> int:
    return next(number for number, photo in enumerate(sample.photos, start=1) if not photo.twice)


def test_the_page_learns_neither_the_answers_of_the_model_nor_confidence_nor_cameras(place, sample):
    said = json.dumps(state(labelling(place, sample, "ana")))
    assert json.loads(said)["classes"] == ["cat", "dog"]
    for secret in ("confidence", "stratum", "gate", "pond", "digest", "telemetry", "0" * 32):
        assert secret not in said


def test_two_people_get_the_photos_in_different_orders(place, sample):
    ana, vera = (state(labelling(place, sample, name))["queue"] for name in ("ana", "vera"))
    assert ana != vera
    assert sorted(ana) == sorted(vera) == list(range(1, len(sample.photos) + 1))


def test_a_photo_for_one_is_done_with_one_label_and_a_photo_for_two_with_two_equal_ones(place, sample):
    ana, vera, eva = (labelling(place, sample, name) for name in ("ana", "vera", "eva"))
    one, two = for_one(sample), for_two(sample)
    for photo in (one, two):
        ana.say(photo, SAID, "cat", seen=None)
    assert set(range(1, len(sample.photos) + 1)) - set(state(vera)["queue"]) == {one}
    assert state(ana)["agreement"] is None
    vera.say(two, SAID, "cat", seen=None)
    assert {one, two}.isdisjoint(state(eva)["queue"])
    assert state(ana)["agreement"]["share"] == 1
    assert state(ana)["progress"]["settled"] == 2


def test_two_who_differ_see_no_other_label_and_a_third_decides_blind(place, sample):
    ana, vera, eva = (labelling(place, sample, name) for name in ("ana", "vera", "eva"))
    photo = for_two(sample)
    ana.say(photo, SAID, "cat", seen=None)
    vera.say(photo, Answer.NEITHER, None, seen=None)
    (shown,) = state(ana)["disputed"]
    assert shown["waiting"]
    assert [each["person"] for each in shown["said"]] == ["ana"]
    assert photo not in state(vera)["queue"]
    found = state(eva)
    assert found["queue"][0] == photo
    assert found["disputed"] == []
    others = [state(labelling(place, sample, name))["queue"][0] for name in ("mia", "uma", "ida", "ada")]
    assert others == [photo] * 4, "whatever their order, it comes first"
    eva.say(photo, SAID, "cat", seen=None)
    assert state(eva)["progress"]["settled"] == 1
    (shown,) = state(vera)["disputed"]
    assert not shown["waiting"]
    assert sorted(each["person"] for each in shown["said"]) == ["ana", "eva", "vera"]
    with pytest.raises(LabelInvalid, match="decided"):
        vera.undo(photo, seen=1)


def test_three_people_with_three_opinions_leave_a_photo_that_nobody_can_tell(place, sample):
    photo = for_two(sample)
    for name, answer, label in (("ana", SAID, "cat"), ("vera", SAID, "dog"), ("eva", Answer.NEITHER, None)):
        labelling(place, sample, name).say(photo, answer, label, seen=None)
    found = state(labelling(place, sample, "mia"))
    assert (found["progress"]["unknown"], found["progress"]["disputed"]) == (1, 0)
    assert photo not in found["queue"]


def test_undo_withdraws_by_a_further_record_and_the_photo_comes_again(place, sample):
    ana, photo = labelling(place, sample, "ana"), for_one(sample)
    ana.say(photo, SAID, "cat", seen=None)
    ana.undo(photo, seen=1)
    assert photo in state(ana)["queue"]
    ana.say(photo, SAID, "dog", seen=None)
    assert [(each["label"], each["record"]) for each in state(ana)["mine"]] == [("dog", 3)]
    prefix = labeller_prefix("test", sample.id, "ana")
    assert [json.loads(lake_of(place).get(key))["answer"] for key in lake_of(place).keys(prefix)] == [
        "class",
        "withdrawn",
        "class",
    ]


def test_a_label_is_changed_only_by_a_writer_that_saw_the_current_one(place, sample):
    one_tab, other_tab = labelling(place, sample, "ana"), labelling(place, sample, "ana")
    photo = for_one(sample)
    one_tab.say(photo, SAID, "cat", seen=None)
    with pytest.raises(LabelsMoved):
        other_tab.say(photo, SAID, "dog", seen=None)
    other_tab.say(photo, SAID, "dog", seen=1)
    with pytest.raises(LabelsMoved):
        one_tab.undo(photo, seen=1)
    assert [each["label"] for each in state(one_tab)["mine"]] == ["dog"]


@settings(max_examples=15, deadline=None)
@given(st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=6), min_size=2, max_size=4))
def test_tabs_of_one_person_at_the_same_time_lose_no_label_and_leave_no_hole(tabs: list[list[int]]):
    """Each tab labels its own photos; all write one log."""
    store, logs = MemoryStore(), [PersonLog(MemoryStore(), "test", "s", "ana")]
    logs = [PersonLog(store, "test", "s", "ana") for _ in tabs]
    start = threading.Barrier(len(tabs))

    def label(place: int) -> None:
        start.wait()
        for number, choice in enumerate(tabs[place]):
            photo = 100 * place + number + 1
            logs[place].add(photo, SAID, f"class {choice}", by="x", at=Ticking()().strftime(TIME), seen=None)

    threads = [threading.Thread(target=label, args=(place,)) for place in range(len(tabs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    fresh = PersonLog(store, "test", "s", "ana")
    fresh.refresh()
    assert {photo: each.label for photo, each in fresh.standing().items()} == {
        100 * place + number + 1: f"class {choice}"
        for place, tab in enumerate(tabs)
        for number, choice in enumerate(tab)
    }
    assert len(list(store.keys(""))) == sum(map(len, tabs))


TIME = "%Y-%m-%dT%H:%M:%S.%fZ"


def test_two_people_at_the_same_time_write_logs_of_their_own(place, sample):
    people = [labelling(place, sample, name) for name in ("ana", "vera")]
    photo, start = for_two(sample), threading.Barrier(2)

    def label(who: Labelling) -> None:
        start.wait()
        who.say(photo, SAID, "cat", seen=None)

    threads = [threading.Thread(target=label, args=(who,)) for who in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert state(people[0])["progress"]["settled"] == 1


def test_a_photo_or_class_outside_the_sample_is_refused(place, sample):
    ana = labelling(place, sample, "ana")
    for photo, answer, label in (
        (0, SAID, "cat"),
        (len(sample.photos) + 1, SAID, "cat"),
        (1, SAID, "bird"),
        (1, SAID, None),
        (1, Answer.NEITHER, "cat"),
    ):
        with pytest.raises(LabelInvalid):
            ana.say(photo, answer, label, seen=None)
    assert list(lake_of(place).keys("labels/")) == [f"labels/v1/test/{sample.id}/sample.json"]


def test_a_picture_is_the_recorded_thumbnail_and_gone_once_that_expired(place, sample):
    ana = labelling(place, sample, "ana")
    assert ana.picture(1).startswith(b"\xff\xd8")
    for photo in (0, len(sample.photos) + 1):
        with pytest.raises(PhotoGone):
            ana.picture(photo)
    lake_of(place).delete(sample.photos[1].key)
    with pytest.raises(PhotoGone, match="no longer"):
        ana.picture(2)


def test_other_peoples_labels_are_read_again_after_five_seconds_and_when_asked(place, sample):
    now = 0.0
    ana = Labelling(lake_of(place), sample, by=arn("ana"), timer=lambda: now)
    vera = labelling(place, sample, "vera")
    one, other = [number for number, photo in enumerate(sample.photos, start=1) if not photo.twice][:2]

    def settled() -> int:
        ana.refresh()
        return ana.state()["progress"]["settled"]

    assert settled() == 0
    vera.say(one, SAID, "cat", seen=None)
    now = 4.9
    assert settled() == 0
    now = 5.0
    assert settled() == 1
    vera.say(other, SAID, "cat", seen=None)
    ana.refresh(now=True)
    assert ana.state()["progress"]["settled"] == 2


def test_an_invalid_record_is_reported_by_its_key(place, sample):
    key = label_key("test", sample.id, "ana", 1)
    lake_of(place).create(key, b'{"answer":"class"}')
    with pytest.raises(LabelRecordMalformed, match=key):
        labelling(place, sample, "ana").refresh()


def test_a_person_is_the_name_of_the_session_and_never_a_path(place, sample):
    ana = Labelling(lake_of(place), sample, by=arn("../../ana@park.example"))
    ana.say(1, SAID, "cat", seen=None)
    (key,) = lake_of(place).keys(f"labels/v1/test/{sample.id}/people/")
    assert key.endswith("/people/ana@park.example/00000001.json")
