"""Events reach the data lake in order, each once, however the link behaves."""

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from camera.backoff import Backoff
from camera.delivery.forward import Forwarder
from camera.delivery.spool import Spool
from camera.telemetry import AgentMetrics
from registry.errors import StoreRefused, StoreUnavailable
from registry.layout.data_lake import EVENT_PICTURES, EVENTS
from registry.store.memory_store import MemoryStore
from tests.camera.conftest import Hands
from tests.camera.delivery.test_spool import MANY, event
from tests.examples import examples
from tests.registry.faulty_store import ENDURED, FaultyStore, at_random


class Lake(MemoryStore):
    """Notes in which order objects came, and can be out of reach."""

    def __init__(self) -> None:
        super().__init__()
        self.order: list[str] = []
        self.away: Exception | None = None

    def create(self, key: str, body: bytes) -> None:
        if self.away:
            raise self.away
        super().create(key, body)
        self.order.append(key)

    def events(self) -> list[int]:
        return [json.loads(self.get(key))["sequence"] for key in self.order if key.startswith(EVENTS)]


def forwarder(spool, store, hands, *, hours=72.0):
    backoff = Backoff(first=1, most=60, source=random.Random(4))
    return Forwarder(
        spool, store, to="lake", retention_hours=hours, clock=hands, metrics=AgentMetrics(), backoff=backoff
    )


@pytest.fixture
def spool(tmp_path):
    opened = Spool(tmp_path, max_bytes=MANY)
    yield opened
    opened.close()


def test_after_a_link_loss_of_ten_minutes_every_event_is_in_the_lake_once_and_in_order(spool, hands):
    lake = Lake()
    sender = forwarder(spool, lake, hands)
    number, waits, wait = 0, [], 0.0
    for second in range(0, 900):
        lake.away = StoreUnavailable("write", "the link is down") if 60 <= second < 660 else None
        if second % 4 == 0:
            number += 1
            spool.add(event(number), b"picture", now=hands.wall())
        wait -= 1
        if wait <= 0:
            wait = sender.step()
            if lake.away:
                waits.append(wait)
        hands.pass_seconds(1)
    while sender.step() == 0:
        pass
    assert lake.events() == list(range(1, number + 1))
    assert len(lake.order) == 2 * number
    assert spool.counts().waiting == 0
    assert spool.counts().evicted == 0
    assert max(waits) <= 60
    assert len(waits) < 30  # it backs off
    assert sender.link.last_error is None


def test_a_picture_is_there_before_the_event_that_points_at_it(spool, hands):
    lake = Lake()
    spool.add(event(1), b"picture", now=hands.wall())
    forwarder(spool, lake, hands).step()
    picture, fact = lake.order
    assert json.loads(lake.get(fact))["picture"] == picture
    assert picture.startswith(EVENT_PICTURES)
    assert lake.get(picture) == b"picture"
    assert fact == f"events/gate/2030-01-02/{1:032x}.json"


@settings(max_examples=examples(12))
@given(seed=st.integers(0, 10**6), rate=st.floats(0.05, 0.8), count=st.integers(1, 6))
def test_whatever_answers_are_lost_every_event_arrives_once_and_in_order(tmp_path_factory, seed, rate, count):
    lake, hands = Lake(), Hands()
    spool = Spool(tmp_path_factory.mktemp("spool"), max_bytes=MANY)
    for number in range(1, count + 1):
        spool.add(event(number), b"picture", now=hands.wall())
    sender = forwarder(spool, FaultyStore(lake, at_random(seed, rate, ENDURED)), hands)
    for _ in range(1000):
        sender.step()
        if not spool.counts().waiting:
            break
    assert lake.events() == list(range(1, count + 1))
    assert len(lake.order) == 2 * count
    spool.close()


def test_a_forwarder_that_died_between_sending_and_confirming_sends_nothing_twice(spool, hands):
    lake = Lake()
    spool.add(event(1), b"picture", now=hands.wall())
    forwarder(spool, lake, hands).step()
    first = list(lake.order)
    spool._database.execute("UPDATE events SET forwarded = 0")
    forwarder(spool, lake, hands).step()
    assert lake.order == first
    assert spool.counts().waiting == 0


def test_a_refusal_is_said_and_tried_again_for_somebody_may_mend_it(spool, hands):
    lake = Lake()
    lake.away = StoreRefused("write", "AccessDenied")
    sender = forwarder(spool, lake, hands)
    spool.add(event(1), b"", now=0)
    assert sender.step() > 0
    assert "AccessDenied" in (sender.link.last_error or "")
    lake.away = None
    sender.step()
    assert lake.events() == [1]
    assert sender.link.last_error is None


def test_without_a_lake_events_stay_and_retention_is_kept(spool, hands):
    sender = forwarder(spool, None, hands, hours=1)
    spool.add(event(1), b"picture", now=hands.wall())
    sender.step()
    assert spool.waiting(1)[0].picture == b"picture"
    hands.pass_seconds(3 * 3600)
    sender.step()
    assert spool.waiting(1)[0].picture is None
    assert spool.counts().waiting == 1


@given(st.integers(0, 200), st.integers(0, 10**6))
def test_waits_grow_to_a_bound_and_not_beyond(failures, seed):
    backoff = Backoff(first=0.5, most=30, source=random.Random(seed))
    waits = [backoff.failed() for _ in range(failures)]
    assert all(0.25 <= wait <= 30 for wait in waits)
    assert all(wait >= 15 for wait in waits[7:])
    backoff.succeeded()
    assert backoff.failed() <= 0.5
