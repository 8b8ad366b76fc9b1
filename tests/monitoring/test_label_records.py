"""Whatever is written of labels is read again, and nothing else is."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.late_labels.records import Answer, Label, LabelRecordMalformed, PersonLog
from registry.encoding import canonical
from registry.errors import StoreUnavailable
from registry.layout.data_lake import label_key
from registry.store.memory_store import MemoryStore

AT = "2026-11-24T10:00:00.000000Z"
TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@given(st.integers(1, 2**40), TEXT, TEXT, st.sampled_from([each for each in Answer if each is not Answer.CLASS]))
def test_a_label_is_read_as_it_was_written(photo: int, label: str, by: str, other: Answer):
    for answer, said in ((Answer.CLASS, label), (other, None)):
        record = Label(photo=photo, answer=answer, label=said, by=by, at=AT, write_id="0" * 32)
        assert Label.from_bytes(record.to_bytes()) == record


@pytest.mark.parametrize(
    "change",
    [
        {"photo": 0},
        {"answer": "cat"},
        {"answer": "neither"},
        {"label": None},
        {"at": "2026-11-24"},
        {"write_id": "x"},
        {"format": 2},
        {"colour": "red"},
    ],
)
def test_an_invalid_label_is_refused(change):
    record = Label(photo=1, answer=Answer.CLASS, label="cat", by="x", at=AT, write_id="0" * 32)
    with pytest.raises(LabelRecordMalformed):
        Label.from_bytes(canonical({**json.loads(record.to_bytes()), **change}))


class LosesResponses(MemoryStore):
    """Stores, and then the answer does not arrive."""

    def create(self, key: str, body: bytes) -> None:
        super().create(key, body)
        raise StoreUnavailable(f"write {key}", "the connection broke")


def test_a_label_whose_response_was_lost_is_stored_once():
    store = LosesResponses()
    log = PersonLog(store, "test", "s", "ana")
    log.add(1, Answer.CLASS, "cat", by="x", at=AT, seen=None)
    assert list(store.keys("")) == [label_key("test", "s", "ana", 1)]
    assert log.standing()[1].label == "cat"
