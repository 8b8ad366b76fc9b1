"""Orders are plain JSON, and read strictly all the same."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from petpark.worker.order import Order, OrderMalformed, Purpose, load_order
from petpark.worker.tokens import CAUSE_CHARACTERS, shorten
from registry.layout.jobs import job_order_key
from registry.store.memory_store import MemoryStore
from tests.petpark.worker.machine import JOB, order


@given(st.sampled_from(Purpose), st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=9), max_size=4))
def test_an_order_is_read_however_its_json_is_spaced(purpose, inputs):
    written = {**order(purpose), "inputs": inputs}
    for text in (json.dumps(written), json.dumps(written, indent=2, sort_keys=True)):
        read = Order.from_json(text.encode())
        assert (read.job, read.purpose, read.inputs, read.max_seconds) == (JOB, purpose, inputs, 3600)


def test_a_whole_number_may_be_written_as_a_state_machine_does():
    assert Order.from_json(json.dumps(order(max_seconds=60.0)).encode()).max_seconds == 60


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"schema": "petpark.order/2"}, "schema"),
        ({"job": "A"}, "job"),
        ({"purpose": "bake"}, "bake"),
        ({"requested_by": "ana"}, "requested_by"),
        ({"max_seconds": 0}, "max_seconds"),
        ({"max_seconds": 1.5}, "max_seconds"),
        ({"inputs": []}, "inputs"),
        ({"more": 1}, "unknown fields: more"),
    ],
)
def test_what_is_no_order_is_named(change, expected):
    with pytest.raises(OrderMalformed, match=expected):
        Order.from_json(json.dumps({**order(), **change}).encode())


@pytest.mark.parametrize("data", [b"", b"[]", b"\xff", b'{"job": 1, "job": 2}', b"NaN"])
def test_what_is_no_json_object_is_no_order(data):
    with pytest.raises(OrderMalformed):
        Order.from_json(data)


def test_an_order_of_another_job_is_refused():
    store = MemoryStore()
    store.create(job_order_key("other"), json.dumps(order()).encode())
    with pytest.raises(OrderMalformed, match=f"the order of job other names job {JOB}"):
        load_order(store, "other")


@given(st.text(max_size=3 * CAUSE_CHARACTERS))
def test_a_cause_keeps_its_beginning_and_its_end_within_the_limit(cause):
    short = shorten(cause)
    assert len(short) <= CAUSE_CHARACTERS
    assert short.startswith(cause[:400])
    assert short.endswith(cause[-400:])
