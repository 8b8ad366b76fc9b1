"""A version: several files as one immutable thing with one name, the digest of its canonical JSON."""

import math
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Self

from registry.encoding import NAME, SHA256, Fields, canonical, parse_canonical, parse_time, sha256_hex
from registry.errors import FileNameRefused, NameRefused, VersionMalformed


def check_name(kind: str, name: str) -> str:
    """The name, if it may be a part of a key; otherwise NameRefused."""
    if not NAME.fullmatch(name):
        raise NameRefused(kind, name)
    return name


def check_file_name(name: str) -> str:
    """The name, if it stays inside its directory on every system; otherwise FileNameRefused."""
    parts = name.split("/")
    reason = next(
        (
            reason
            for refused, reason in (
                (name == "", "empty"),
                ("\\" in name, "a backslash"),
                (name.startswith("/") or name[1:2] == ":", "absolute"),
                (any(part in {".", ".."} for part in parts), "a part that is '.' or '..'"),
                ("" in parts, "an empty part"),
                (any(unicodedata.category(character) in {"Cc", "Cs"} for character in name), "a control character"),
                (not unicodedata.is_normalized("NFC", name), "not in composed form (NFC)"),
                (any(len(part.encode("utf-8", "replace")) > 255 for part in parts), "a part over 255 bytes"),
            )
            if refused
        ),
        None,
    )
    if reason:
        raise FileNameRefused(name, reason)
    return name


@dataclass(frozen=True, kw_only=True)
class StoredFile:
    """A file of a version; its bytes are the blob of that hash."""

    name: str
    sha256: str
    bytes: int

    def __post_init__(self) -> None:
        check_file_name(self.name)
        if not SHA256.fullmatch(self.sha256):
            raise VersionMalformed(f"{self.sha256!r} is not a SHA-256")
        if self.bytes < 0:
            raise VersionMalformed(f"file {self.name} of {self.bytes} bytes")


@dataclass(frozen=True, kw_only=True)
class Version:
    """Files, labels, metrics and lineage under one number; the digest determines every byte.

    Constructing one raises VersionMalformed, FileNameRefused or NameRefused unless it can be stored and read back.
    """

    model: str
    number: int
    created_at: str
    files: tuple[StoredFile, ...]
    labels: tuple[str, ...]
    metrics: Mapping[str, float]
    lineage: Mapping[str, str]

    def __post_init__(self) -> None:
        check_name("model", self.model)
        object.__setattr__(self, "metrics", MappingProxyType(dict(self.metrics)))
        object.__setattr__(self, "lineage", MappingProxyType(dict(self.lineage)))
        if problem := self._problem():
            raise VersionMalformed(problem)

    def _problem(self) -> str | None:
        names = [file.name for file in self.files]
        folders = {name[:end] for name in names for end in range(len(name)) if name[end] == "/"}
        problem = next(
            (
                problem
                for wrong, problem in (
                    (self.number < 1, f"number {self.number}"),
                    (not names, "no files"),
                    (names != sorted(set(names)), "file names are not unique and ascending"),
                    (not folders.isdisjoint(names), "a name is both a file and a folder"),
                    (len(set(self.labels)) < len(self.labels), "labels are not unique"),
                    (not all(map(math.isfinite, self.metrics.values())), "a metric is not a finite number"),
                )
                if wrong
            ),
            None,
        )
        if problem:
            return problem
        try:
            parse_time(self.created_at)
            self.to_bytes()
        except ValueError as error:
            return str(error)
        return None

    @property
    def digest(self) -> str:
        """`sha256:` and the SHA-256 of the version's canonical JSON (RFC 8785), which are also its stored bytes."""
        return f"sha256:{sha256_hex(self.to_bytes())}"

    @property
    def title(self) -> str:
        """For people: `pets version 12`."""
        return f"{self.model} version {self.number}"

    def file(self, name: str) -> StoredFile | None:
        """The file of that name."""
        return next((file for file in self.files if file.name == name), None)

    def same_content(self, other: Self) -> bool:
        """Whether only number and time differ."""
        return self == replace(other, number=self.number, created_at=self.created_at)

    def to_dict(self) -> dict[str, object]:
        """The JSON object that is stored, and shown by `--json`."""
        return {
            "model": self.model,
            "number": self.number,
            "created_at": self.created_at,
            "files": [{"name": file.name, "sha256": file.sha256, "bytes": file.bytes} for file in self.files],
            "labels": list(self.labels),
            "metrics": dict(self.metrics),
            "lineage": dict(self.lineage),
        }

    def to_bytes(self) -> bytes:
        """What is stored."""
        return canonical(self.to_dict())

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The version that was stored; VersionMalformed (or a refused name) for any other bytes."""
        try:
            fields = parse_canonical(data)
            version = cls(
                model=fields.text("model"),
                number=fields.count("number"),
                created_at=fields.text("created_at"),
                files=tuple(map(_stored_file, fields.nested_list("files"))),
                labels=fields.texts("labels"),
                metrics=fields.mapping_to_number("metrics"),
                lineage=fields.mapping_to_text("lineage"),
            )
            fields.done()
        except ValueError as error:
            raise VersionMalformed(str(error)) from error
        return version


def _stored_file(fields: Fields) -> StoredFile:
    file = StoredFile(name=fields.text("name"), sha256=fields.text("sha256"), bytes=fields.count("bytes", least=0))
    fields.done()
    return file
