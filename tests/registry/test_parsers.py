"""Whatever lies in the store: a value or an error with a name, never anything else."""

import functools
import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from securesystemslib.dsse import Envelope

from registry.certificates.certificate import PAYLOAD_TYPE, Certificate, parse_envelope
from registry.channels.channel import ChannelEntry
from registry.channels.experiment import Conclusion, Experiment, Experiments
from registry.channels.experiment_rule import Evidence, Rule
from registry.encoding import canonical
from registry.errors import RegistryError
from registry.store.memory_store import MemoryStore
from registry.version import StoredFile, Version
from tests.examples import examples
from tests.registry.memory_keys import MemorySigner

VERSION = Version(
    model="pets",
    number=1,
    created_at="2026-01-01T00:00:00.000000Z",
    files=(StoredFile(name="a/b", sha256="a" * 64, bytes=1),),
    labels=("cat",),
    metrics={"accuracy": 0.5},
    lineage={"run": "r"},
)
MOVE = ChannelEntry(
    channel="prod", number=2, version=1, digest=VERSION.digest, by="mia", why="", previous=1, restores=None,
    at="2026-01-01T00:00:00.000000Z", write_id="0" * 32, previous_sha256="b" * 64,
)  # fmt: skip
CERTIFICATE = Certificate(
    model="pets", version=1, digest=VERSION.digest, number=1, decision="certified", by="vera", report_sha256=None,
    at="2026-01-01T00:00:00.000000Z", expires_at="2027-01-01T00:00:00.000000Z", note="",
)  # fmt: skip
ENVELOPE = Envelope(CERTIFICATE.statement(), PAYLOAD_TYPE, {})
ENVELOPE.sign(MemorySigner())

EXPERIMENT = Experiment(
    channel="prod", number=1, version=2, digest=VERSION.digest, champion=1, entry=1, mode="canary", share=0.5,
    rule=Rule(), by="mia", why="", at="2026-01-01T00:00:00.000000Z", until="2026-01-02T00:00:00.000000Z",
    write_id="0" * 32, previous_sha256=None,
)  # fmt: skip
CONCLUSION = Conclusion(
    channel="prod", number=2, experiment=1, outcome="stopped", reasons=("r",), evidence=Evidence(), by="mia",
    at="2026-01-01T00:00:00.000000Z", write_id="0" * 32, previous_sha256="b" * 64,
)  # fmt: skip
EXPERIMENTS = Experiments(MemoryStore(), "pets", "prod")

PARSERS: dict[str, tuple[Callable[[bytes], object], bytes]] = {
    "version": (Version.from_bytes, VERSION.to_bytes()),
    "move": (ChannelEntry.from_bytes, MOVE.to_bytes()),
    "statement": (Certificate.from_statement, CERTIFICATE.statement()),
    "experiment": (functools.partial(EXPERIMENTS._parse, 1), EXPERIMENT.to_bytes()),
    "conclusion": (functools.partial(EXPERIMENTS._parse, 2), CONCLUSION.to_bytes()),
    "envelope": (parse_envelope, canonical(ENVELOPE.to_dict())),
}

each_parser = pytest.mark.parametrize("name", list(PARSERS))
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["sha256:" + "a" * 64, "a" * 64, "x=="]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def holes(document: object, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path to every value in a JSON document."""
    steps = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    return [path, *(hole for step, value in steps for hole in holes(value, (*path, step)))]


@each_parser
def test_each_parser_reads_what_is_right(name: str) -> None:
    parse, right = PARSERS[name]
    assert parse(right)


@each_parser
@settings(max_examples=examples(150))
@example(data=b"[" * 100_000)
@example(data=b'{"a":' * 100_000)
@example(data=b"1" * 5000)
@example(data=b"\xff\xfe")
@example(data=b'{"a":1e999}')
@example(data=b'{"a":"\\ud800"}')
@given(data=st.binary() | json_values.map(lambda value: json.dumps(value).encode()))
def test_arbitrary_bytes_end_in_a_name(name: str, data: bytes) -> None:
    with pytest.raises(RegistryError):
        PARSERS[name][0](data)


@each_parser
@settings(max_examples=examples(150))
@given(data=st.data())
def test_a_right_object_with_one_wrong_value_ends_in_a_value_or_a_name(name: str, data: st.DataObject) -> None:
    parse, right = PARSERS[name]
    document = {"": json.loads(right)}
    *path, last = data.draw(st.sampled_from([("", *hole) for hole in holes(document[""])]))
    place: Any = document
    for step in path:
        place = place[step]
    if data.draw(st.booleans()) or isinstance(place, list):
        place[last] = data.draw(json_values)
    else:
        del place[last]
    text = json.dumps(document.get(""), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    with suppress(RegistryError):
        parse(text.encode("utf-8", "surrogatepass"))


@each_parser
@settings(max_examples=examples(100))
@given(data=st.data())
def test_a_flipped_or_cut_byte_ends_in_a_value_or_a_name(name: str, data: st.DataObject) -> None:
    parse, right = PARSERS[name]
    place = data.draw(st.integers(0, len(right) - 1))
    damaged = right[:place] + data.draw(st.binary(max_size=1)) + right[place + data.draw(st.integers(0, 2)) :]
    with suppress(RegistryError):
        parse(damaged)
