import base64
import json
import os
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rehearsal.engine.errors import ConfigurationRefused, StackBusy, StateUnreadable
from rehearsal.engine.state import ProviderState, Record, Seal, State, from_json, locked, state_file, to_json
from tests.examples import examples

PASSPHRASE = "correct horse"
SEAL = Seal(PASSPHRASE, b"0123456789abcdef")
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
fields = st.dictionaries(st.text(), values)
records = st.builds(
    Record,
    urn=st.text(),
    type=st.text(),
    name=st.text(),
    parent=st.text(),
    custom=st.booleans(),
    id=st.text(),
    inputs=fields,
    outputs=fields,
    secrets=st.frozensets(st.text(), max_size=3),
    dependencies=st.lists(st.text()).map(tuple),
    property_dependencies=st.dictionaries(st.text(), st.lists(st.text()).map(tuple)),
    protect=st.booleans(),
    tainted=st.booleans(),
    pending=st.sampled_from(["", "create", "update", "delete"]),
    planned=fields,
    provider_state=st.none()
    | st.builds(ProviderState, terraform=st.text(), version=st.integers(0, 9), fields=fields, private=st.binary()),
)


def record(name: str = "a", **changes: Any) -> Record:
    return replace(Record(urn=f"urn:{name}", type="t", name=name), **changes)


def opened(file: Path, *, passphrase: str = PASSPHRASE) -> State:
    return State(file, passphrase=passphrase)


@given(records)
def test_a_record_survives_the_state_file(one: Record):
    assert from_json(json.loads(to_json(one, SEAL)), SEAL) == one


@given(st.text("abcdefgh", min_size=12), st.sampled_from(["inputs", "outputs", "planned", "id", "provider_state"]))
@settings(max_examples=examples(50))
def test_no_part_of_a_record_with_secrets_shows_one(secret: str, place: str):
    held = ProviderState(terraform="t", version=0, fields={"v": secret}, private=secret.encode())
    by_place: dict[str, Any] = {"id": secret, "provider_state": held}
    value = by_place.get(place, {"v": secret})
    text = to_json(replace(record(secrets=frozenset({"v"})), **{place: value}), SEAL)
    assert secret not in text


def test_a_sealed_record_opens_only_where_it_belongs():
    sealed = json.loads(to_json(record(inputs={"v": "x"}, secrets=frozenset({"v"})), SEAL))
    with pytest.raises(StateUnreadable):
        from_json(sealed | {"urn": "urn:elsewhere"}, SEAL)


def test_what_was_saved_is_read_back(tmp_path: Path):
    state = opened(tmp_path / "s.json")
    state.put(record("a"))
    state.put(record("b", inputs={"v": "hidden words"}, secrets=frozenset({"v"})))
    state.mark_for_deletion(record("c"))
    state.save()

    again = opened(tmp_path / "s.json")

    assert again.resources == state.resources
    assert again.pending_deletes == state.pending_deletes
    assert "hidden words" not in (tmp_path / "s.json").read_text()


def test_another_passphrase_opens_nothing_and_says_so(tmp_path: Path):
    state = opened(tmp_path / "s.json")
    state.put(record(inputs={"v": "x"}, secrets=frozenset({"v"})))
    state.save()

    with pytest.raises(StateUnreadable, match="the passphrase differs"):
        opened(tmp_path / "s.json", passphrase="wrong")


def test_an_empty_passphrase_is_refused(tmp_path: Path):
    with pytest.raises(ConfigurationRefused, match="PULUMI_CONFIG_PASSPHRASE"):
        opened(tmp_path / "s.json", passphrase="")


def test_the_file_is_for_its_owner_only(tmp_path: Path):
    state = opened(tmp_path / "s.json")
    state.save()
    assert stat.S_IMODE((tmp_path / "s.json").stat().st_mode) == 0o600


def test_nothing_changed_writes_nothing(tmp_path: Path):
    state = opened(tmp_path / "s.json")
    state.put(record(secrets=frozenset({"v"})))
    state.save()
    before = (tmp_path / "s.json").stat().st_mtime_ns

    state.put(record(secrets=frozenset({"v"})))
    state.save()

    assert (tmp_path / "s.json").stat().st_mtime_ns == before


def test_a_read_only_state_is_never_written(tmp_path: Path):
    state = State(tmp_path / "s.json", passphrase="p", writable=False)
    state.put(record())
    state.save()
    assert not (tmp_path / "s.json").exists()


@pytest.mark.parametrize("call", ["os.fsync", "pathlib.Path.replace", "os.fdopen"])
def test_a_write_that_fails_leaves_the_last_whole_state(tmp_path: Path, call: str):
    file = tmp_path / "s.json"
    state = opened(file)
    state.put(record("a"))
    state.save()

    state.put(record("b"))
    with patch(call, side_effect=OSError("no space left")), pytest.raises(OSError, match="no space"):
        state.save()

    assert set(opened(file).resources) == {"urn:a"}
    state.save()  # with space again, nothing was lost
    assert set(opened(file).resources) == {"urn:a", "urn:b"}


CRASHING = """
import os, sys
from pathlib import Path
from rehearsal.engine.state import Record, State
state = State(Path(sys.argv[1]), passphrase="correct horse")
left = int(sys.argv[2])
def dying(function):
    def call(*args, **kwargs):
        global left
        left -= 1
        if left < 0:
            os._exit(9)
        return function(*args, **kwargs)
    return call
os.fsync, Path.replace, os.open, os.fdopen = map(dying, (os.fsync, Path.replace, os.open, os.fdopen))
for n in range(1, 3):
    state.put(Record(urn=f"urn:{n}", type="t", name=str(n)))
    state.save()
"""


@pytest.mark.parametrize("calls", range(10))
def test_dying_at_any_call_leaves_a_whole_state(tmp_path: Path, calls: int):
    file = tmp_path / "s.json"
    opened(file).save()

    subprocess.run([sys.executable, "-c", CRASHING, str(file), str(calls)], timeout=60, check=False)

    found = list(opened(file).resources)
    assert found == ["urn:1", "urn:2"][: len(found)]


def test_a_second_operation_is_refused_and_told_who_holds_the_stack(tmp_path: Path):
    file = tmp_path / "p" / "test.json"
    with locked(file), pytest.raises(StackBusy, match=f"stack test .process {os.getpid()}"), locked(file):
        pass
    with locked(file):
        pass


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000])
def test_a_state_that_is_not_json_is_refused(tmp_path: Path, content: bytes):
    file = tmp_path / "s.json"
    file.write_bytes(content)
    with pytest.raises(StateUnreadable, match="not JSON"):
        opened(file)


@pytest.mark.parametrize(
    "facts",
    [
        *({"serial": "1"}, {"salt": 1}, {"salt": "é"}, {"resources": {}}, {"resources": ["x"]}),
        *({"pending_deletes": None}, {"format": None}, {"format": "2"}, {"format": True}),
    ],
)
def test_a_state_with_something_else_where_it_reads_is_refused(tmp_path: Path, facts: dict[str, object]):
    file = tmp_path / "s.json"
    whole = {"format": 2, "serial": 1, "salt": base64.b64encode(b"0" * 16).decode(), "resources": []}
    file.write_text(json.dumps(whole))
    assert not opened(file).resources
    file.write_text(json.dumps({**whole, **facts}))
    with pytest.raises(StateUnreadable, match=r"is damaged; restore it, or delete it"):
        opened(file)


@pytest.mark.parametrize(("format", "wrote"), [(1, "An earlier version"), (99, "A later version")])
def test_a_state_of_another_version_is_refused_with_what_to_do(tmp_path: Path, format: int, wrote: str):
    file = tmp_path / "s.json"
    file.write_text(json.dumps({"format": format}))
    with pytest.raises(StateUnreadable, match=rf"{wrote} of petpark wrote .* Destroy the stack with that version"):
        opened(file)


def test_a_directory_where_the_state_should_be_is_named(tmp_path: Path):
    with pytest.raises(StateUnreadable, match="cannot be read: Is a directory"):
        opened(tmp_path)


def test_the_name_of_a_stack_cannot_lead_elsewhere(tmp_path: Path):
    assert state_file(tmp_path, "petpark", "test") == tmp_path / "petpark" / "test.json"
    for name in ("../test", "", ".hidden", "a/b"):
        with pytest.raises(ConfigurationRefused):
            state_file(tmp_path, "petpark", name)


@pytest.mark.parametrize(
    "changes", [{"property_dependencies": []}, {"provider_state": []}, {"provider_state": "x"}, {"dependencies": 1}]
)
def test_a_resource_in_another_form_is_refused(changes: dict[str, object]):
    fields = json.loads(to_json(Record(urn="u", type="t", name="n"), SEAL))
    assert from_json(dict(fields), SEAL).name == "n"
    with pytest.raises(StateUnreadable, match="is damaged"):
        from_json({**fields, **changes}, SEAL)
