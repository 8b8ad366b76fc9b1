"""What a version is, which bytes it has, and which bytes are none."""

import hashlib
import json
from dataclasses import FrozenInstanceError, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.encoding import format_time
from registry.errors import FileNameRefused, NameRefused, VersionMalformed
from registry.version import StoredFile, Version, check_file_name

SHA = hashlib.sha256(b"graph").hexdigest()

VERSION = Version(
    model="pets",
    number=12,
    created_at="2026-01-02T03:04:05.678901Z",
    files=(StoredFile(name="model.onnx", sha256=SHA, bytes=5),),
    labels=("cat", "dog"),
    metrics={"accuracy": 0.975, "epochs": 10.0},
    lineage={"run": "r-1"},
)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
file_names = st.lists(st.text("abc.é-_ 1", min_size=1, max_size=5), min_size=1, max_size=3).map("/".join)


def allowed(name: str) -> bool:
    try:
        check_file_name(name)
    except FileNameRefused:
        return False
    return True


@st.composite
def versions(draw: st.DrawFn) -> Version:
    names: list[str] = []
    for name in sorted(draw(st.sets(file_names.filter(allowed), min_size=1, max_size=5))):
        if not any(name.startswith(f"{other}/") or other.startswith(f"{name}/") for other in names):
            names.append(name)
    return Version(
        model=draw(st.from_regex(r"[a-z0-9][a-z0-9-]{0,62}", fullmatch=True)),
        number=draw(st.integers(1, 10**8 - 1)),
        created_at=format_time(draw(st.datetimes(min_value=datetime(1900, 1, 1), timezones=st.just(UTC)))),
        files=tuple(
            StoredFile(name=name, sha256=draw(st.sampled_from([SHA, "0" * 64])), bytes=draw(st.integers(0, 2**50)))
            for name in names
        ),
        labels=tuple(draw(st.lists(texts, unique=True, max_size=4))),
        metrics=draw(st.dictionaries(texts, st.floats(allow_nan=False, allow_infinity=False), max_size=4)),
        lineage=draw(st.dictionaries(texts, texts, max_size=4)),
    )


@given(version=versions())
def test_a_version_reads_back_as_it_was_written(version: Version) -> None:
    again = Version.from_bytes(version.to_bytes())
    assert again == version
    assert again.digest == version.digest == "sha256:" + hashlib.sha256(version.to_bytes()).hexdigest()


def test_the_digest_is_of_the_canonical_json() -> None:
    written_by_hand = (
        '{"created_at":"2026-01-02T03:04:05.678901Z","files":[{"bytes":5,"name":"model.onnx","sha256":"' + SHA + '"}],'
        '"labels":["cat","dog"],"lineage":{"run":"r-1"},"metrics":{"accuracy":0.975,"epochs":10},"model":"pets","number":12}'
    )
    assert VERSION.digest == "sha256:" + hashlib.sha256(written_by_hand.encode()).hexdigest()


@pytest.mark.parametrize(
    "change",
    [
        {"number": 13},
        {"files": (StoredFile(name="model.onnx", sha256="0" * 64, bytes=5),)},
        {"labels": ("dog", "cat")},
        {"metrics": {"accuracy": 0.976, "epochs": 10}},
        {"lineage": {"run": "r-2"}},
    ],
)
def test_every_change_changes_the_digest(change: dict[str, Any]) -> None:
    assert replace(VERSION, **change).digest != VERSION.digest


def test_a_version_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        VERSION.number = 13  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(TypeError):
        VERSION.metrics["accuracy"] = 1.0  # pyright: ignore[reportIndexIssue]


@pytest.mark.parametrize(
    "change",
    [
        {"number": 0},
        {"created_at": "yesterday"},
        {"created_at": "2026-01-02T03:04:05Z"},
        {"files": ()},
        {"files": VERSION.files * 2},
        {
            "files": (
                StoredFile(name="a", sha256=SHA, bytes=1),
                StoredFile(name="a/b", sha256=SHA, bytes=1),
            )
        },
        {"labels": ("cat", "cat")},
        {"metrics": {"accuracy": float("nan")}},
        {"lineage": {"run": "\ud800"}},
    ],
)
def test_what_cannot_be_a_version_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(VersionMalformed):
        replace(VERSION, **change)


@pytest.mark.parametrize("name", ["", "Pets", "a/b", "..", "-a", "a" * 64, "a\n"])
def test_a_model_name_is_a_plain_word(name: str) -> None:
    with pytest.raises(NameRefused):
        replace(VERSION, model=name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../x",
        "a/../b",
        "/etc/passwd",
        "a//b",
        "a/",
        "a\\b",
        "C:/x",
        "a\x00b",
        "a\nb",
        "e\u0301",
        "\ud800",
        "x" * 256,
    ],
)
def test_a_file_name_that_could_leave_its_folder_is_refused(name: str) -> None:
    with pytest.raises(FileNameRefused):
        check_file_name(name)


@pytest.mark.parametrize("name", ["model.onnx", "probes/0.jpg", "..hidden", "a..b", "é", "cat and dog.jpg"])
def test_an_ordinary_file_name_is_accepted(name: str) -> None:
    assert check_file_name(name) == name


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("number",), True),
        (("number",), 12.5),
        (("number",), "12"),
        (("files",), {}),
        (("files", 0, "sha256"), SHA.upper()),
        (("files", 0, "bytes"), -1),
        (("files", 0, "mode"), "0644"),
        (("labels",), [1]),
        (("metrics", "accuracy"), True),
        (("metrics", "accuracy"), "0.9"),
        (("lineage", "run"), None),
        (("note",), "new field"),
    ],
)
def test_a_stored_version_with_another_shape_is_malformed(path: tuple[str | int, ...], value: object) -> None:
    document: Any = VERSION.to_dict()
    place = document
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with pytest.raises(VersionMalformed):
        Version.from_bytes(json.dumps(document, separators=(",", ":"), sort_keys=True).encode())


def test_another_spelling_of_the_same_version_is_malformed() -> None:
    with pytest.raises(VersionMalformed, match="canonical"):
        Version.from_bytes(json.dumps(VERSION.to_dict(), indent=1).encode())
    with pytest.raises(VersionMalformed):
        Version.from_bytes(VERSION.to_bytes() + b"\n")
    with pytest.raises(VersionMalformed):
        Version.from_bytes(VERSION.to_bytes()[:-1])
