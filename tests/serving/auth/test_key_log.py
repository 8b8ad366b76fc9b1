"""The log of API keys: whatever happens at once, or to the store, no change is lost and none is heard too late."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from registry.encoding import canonical
from registry.errors import StoreUnavailable
from registry.layout.model_store import api_keys_key
from registry.store.memory_store import MemoryStore
from registry.store.object_store import ObjectStore
from serving.auth.key_log import Changes, KeyLog, KeyState
from serving.auth.key_record import ApiKey, KeyScope, hash_of
from tests.examples import examples
from tests.serving.park import NOW

PREFIX = "api_keys/prod/"
NAMES = st.sampled_from(["gate", "camera", "ops", "x"])


def record(name: str, secret: str = "pp_1") -> ApiKey:
    return ApiKey(
        name=name,
        hash=hash_of(secret),
        rate=5,
        burst=9,
        created=NOW,
        expires=NOW + timedelta(days=1),
        scopes=frozenset({KeyScope.CLASSIFY}),
    )


def change(log: KeyLog, changes: Changes) -> KeyState:
    return log.change(lambda _: changes, by="mia", what="test")


class Overtaken(KeyLog):
    """Before its first write lands, `others` write."""

    def __init__(self, store: ObjectStore, others: Callable[[], None]) -> None:
        super().__init__(store, PREFIX)
        self._others = [others]

    def latest(self, known: KeyState | None = None) -> KeyState:
        state = super().latest(known)
        if self._others:
            self._others.pop()()
        return state


@settings(max_examples=examples(60))
@given(st.lists(st.tuples(NAMES, st.booleans()), max_size=4), st.tuples(NAMES, st.booleans()))
def test_two_who_change_keys_at_once_lose_nothing(others, own):
    store = MemoryStore()
    rival = KeyLog(store, PREFIX)
    change(rival, {"gate": record("gate")})

    def changes(name: str, made: bool, secret: str) -> dict[str, ApiKey | None]:
        return {name: record(name, secret) if made else None}

    def rush() -> None:
        for number, (name, made) in enumerate(others):
            change(rival, changes(name, made, f"pp_other_{number}"))

    expected = {"gate": record("gate")}
    steps = [changes(name, made, f"pp_other_{number}") for number, (name, made) in enumerate(others)]
    for step in [*steps, changes(own[0], own[1], "pp_own")]:
        for name, made in step.items():
            expected.pop(name, None)
            if made is not None:
                expected[name] = made
    done = Overtaken(store, rush).change(lambda _: changes(own[0], own[1], "pp_own"), by="vera", what="own")
    assert done.records == expected == KeyLog(store, PREFIX).latest().records
    assert done.number == len(others) + 2


def test_many_writers_at_once_lose_no_key():
    store = MemoryStore()
    names = [f"key-{number}" for number in range(24)]
    start = threading.Barrier(len(names))

    def make(name: str) -> None:
        start.wait()
        change(KeyLog(store, PREFIX), {name: record(name)})

    threads = [threading.Thread(target=make, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    state = KeyLog(store, PREFIX).latest()
    assert (sorted(state.records), state.number) == (sorted(names), len(names))


@dataclass
class Counting(MemoryStore):
    asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def get(self, key):
        self.asked.append("get")
        return super().get(key)

    def keys(self, prefix, *, after=""):
        self.asked.append("list")
        return super().keys(prefix, after=after)


def test_hearing_that_nothing_changed_takes_one_request_and_any_number_of_changes_takes_three():
    store = Counting()
    writer, reader = KeyLog(store, PREFIX), KeyLog(store, PREFIX)
    nothing = reader.latest()
    for number in range(30):
        change(writer, {f"key-{number}": record(f"key-{number}")})
    store.asked.clear()
    state = reader.latest(nothing)
    assert (len(state.records), store.asked) == (30, ["get", "list", "get"])
    store.asked.clear()
    assert reader.latest(state) is state
    assert store.asked == ["get"]


JUNK = [b"", b"{}", b"\xff", b"[" * 10_000, canonical({"keys": {}, "log": PREFIX, "number": 2})]


@pytest.mark.parametrize("junk", JUNK)
def test_what_is_no_state_is_passed_over_and_takes_no_key_away(junk):
    store = MemoryStore()
    log = KeyLog(store, PREFIX)
    before = change(log, {"gate": record("gate")})
    store.create(api_keys_key(PREFIX, 2), junk)
    assert log.latest(before).records == log.latest().records == before.records
    after = change(log, {"ops": record("ops")})
    assert (after.number, sorted(log.latest().records)) == (3, ["gate", "ops"])


def test_the_state_of_another_stack_or_place_is_none_of_this_log():
    store = MemoryStore()
    other = KeyLog(store, "api_keys/test/")
    change(other, {"intruder": record("intruder")})
    body = store.get(api_keys_key("api_keys/test/", 1))
    store.create(api_keys_key(PREFIX, 1), body)
    assert KeyLog(store, PREFIX).latest().records == {}
    store.create(api_keys_key("api_keys/test/", 2), body)
    assert other.latest().number == 1


def test_an_entry_far_behind_decides_nothing():
    store = MemoryStore()
    log = KeyLog(store, PREFIX)
    change(log, {"gate": record("gate")})
    forged = KeyLog(MemoryStore(), PREFIX)
    change(forged, {"intruder": record("intruder")})
    store.create(api_keys_key(PREFIX, 9_999_999), store.get(api_keys_key(PREFIX, 1)))
    assert sorted(log.latest().records) == ["gate"]
    assert change(log, {"ops": record("ops")}).number == 2


def test_a_record_that_is_not_understood_is_kept_by_whoever_changes_another(parameters):
    parameters.create("gate")
    parameters.spoil("newer", {"hash": "0" * 64, "quota": 3})
    change(parameters.log, {"ops": record("ops")})
    state = parameters.log.latest()
    assert state.documents["newer"] == {"hash": "0" * 64, "quota": 3}
    assert (sorted(state.records), sorted(state.problems)) == (["gate", "ops"], ["newer"])
    change(parameters.log, {"newer": None})
    assert not parameters.log.latest().problems


class Keys(RuleBasedStateMachine):
    """Two people, an endpoint, and a store whose answers get lost: what was confirmed is in force, and nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self.store = MemoryStore()
        self.model: dict[str, ApiKey] = {}
        self.known = KeyState()

    @rule(name=NAMES, secret=st.integers(0, 9), lost=st.booleans())
    def someone_makes_a_key(self, name: str, secret: int, lost: bool) -> None:
        self._change(name, record(name, f"pp_{secret}"), lost)

    @rule(name=NAMES, lost=st.booleans())
    def someone_revokes_one(self, name: str, lost: bool) -> None:
        self._change(name, None, lost)

    @rule(junk=st.sampled_from(JUNK))
    def something_lies_there(self, junk: bytes) -> None:
        self.store.create(api_keys_key(PREFIX, KeyLog(self.store, PREFIX).latest().seen + 1), junk)

    @rule()
    def the_endpoint_looks(self) -> None:
        self.known = KeyLog(self.store, PREFIX).latest(self.known)
        assert self.known.records == self.model

    def _change(self, name: str, made: ApiKey | None, lost: bool) -> None:
        log = KeyLog(LosesResponses(self.store) if lost else self.store, PREFIX)

        def decide(_: KeyState) -> Changes:
            return {name: made}

        log.change(decide, by="mia", what="")
        self.model = {key: value for key, value in self.model.items() if key != name}
        self.model |= {} if made is None else {name: made}

    @invariant()
    def who_reads_from_nothing_sees_the_same(self) -> None:
        assert KeyLog(self.store, PREFIX).latest().records == self.model


class LosesResponses(MemoryStore):
    """The write lands, and its answer is lost."""

    def __init__(self, inner: MemoryStore) -> None:
        super().__init__()
        self.get, self.keys = inner.get, inner.keys
        self._inner = inner

    def create(self, key: str, body: bytes) -> None:
        self._inner.create(key, body)
        raise StoreUnavailable(f"write {key}", "no answer")


TestKeys = Keys.TestCase
TestKeys.settings = settings(max_examples=examples(40), stateful_step_count=12)
