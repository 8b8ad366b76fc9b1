"""The stored record of an API key, which never contains the key itself.

A key is 256 bits from the operating system's generator, and the record has its SHA-256. Slow hashes (argon2, scrypt)
make the *guessing* of passwords slow; one of 2^256 cannot be guessed even with a fast hash, and a slow one would cost
every request its time. https://pages.nist.gov/800-63-4/sp800-63b.html#lookupsecretverifier (112 bits suffice).

The standard library only: operators' commands write records, endpoints read them.
"""

import hashlib
import json
import re
import secrets
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, cast

PREFIX = "pp_"
"""Prefix of every key, so that scanners for leaked secrets can recognise keys."""

NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")
HIGHEST_RATE = 100_000.0

_BYTES = 32
_HASH = re.compile(r"[0-9a-f]{64}")
_MEMBERS = frozenset({"hash", "rate", "burst", "created", "expires", "scopes", "previous"})


class KeyScope(StrEnum):
    """The operations that a key permits."""

    CLASSIFY = "classify"
    """Classification of photos and tensors."""
    ADMIN = "admin"
    """Changing the served version, from an endpoint's own pages."""


class RecordMalformed(ValueError):
    """The stored object is not the record of an API key; the message has the reason."""


@dataclass(frozen=True, kw_only=True)
class Previous:
    """The key before the last rotation, valid until the end of its grace period."""

    hash: str
    until: datetime


@dataclass(frozen=True, kw_only=True)
class ApiKey:
    """One caller's key. `rate`: photos per second on average; `burst`: photos at once; `expires` None: never."""

    name: str
    hash: str
    rate: float
    burst: int
    created: datetime
    expires: datetime | None
    scopes: frozenset[KeyScope]
    previous: Previous | None = None

    def __post_init__(self) -> None:
        """Raises `RecordMalformed` for invalid values."""
        _check(NAME.fullmatch(self.name) is not None, "a name is lower-case letters, digits and hyphens, 63 at most")
        _check(_HASH.fullmatch(self.hash) is not None, "`hash` has to be a SHA-256 in hexadecimal")
        _check(0 < self.rate <= HIGHEST_RATE, f"`rate` has to be above 0 and at most {HIGHEST_RATE:g} photos a second")
        _check(1 <= self.burst <= HIGHEST_RATE, f"`burst` has to be from 1 to {HIGHEST_RATE:g} photos")
        _check(bool(self.scopes), "`scopes` names none")
        if self.previous is not None:
            _check(_HASH.fullmatch(self.previous.hash) is not None, "`previous.hash` has to be a SHA-256")

    def expired(self, now: datetime) -> bool:
        """Returns whether the key has expired."""
        return self.expires is not None and now >= self.expires

    def rotated(self, new_hash: str, *, now: datetime, grace: timedelta) -> "ApiKey":
        """Returns the record with a new key; the current one stays valid for `grace`."""
        return replace(self, hash=new_hash, previous=Previous(hash=self.hash, until=now + grace))

    def to_dict(self) -> dict[str, object]:
        """Returns the JSON object that is stored under the key's name."""
        document: dict[str, object] = {
            "hash": self.hash,
            "rate": self.rate,
            "burst": self.burst,
            "created": _text(self.created),
            "expires": None if self.expires is None else _text(self.expires),
            "scopes": sorted(self.scopes),
        }
        if self.previous is not None:
            document["previous"] = {"hash": self.previous.hash, "until": _text(self.previous.until)}
        return document

    @classmethod
    def from_json(cls, name: str, text: str) -> "ApiKey":
        """Returns a record from JSON. Raises `RecordMalformed`."""
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise RecordMalformed(f"it is not JSON ({type(error).__name__})") from None
        return cls.from_dict(name, value)

    @classmethod
    def from_dict(cls, name: str, value: object) -> "ApiKey":
        """Returns a record. Strict, because a misread record might admit a caller. Raises `RecordMalformed`."""
        try:
            document = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
            _check(set(document) >= _MEMBERS - {"previous"}, "members are missing")
            _check(set(document) <= _MEMBERS, "it has unknown members")
            previous = document.get("previous")
            return cls(
                name=name,
                hash=str(document["hash"]),
                rate=float(document["rate"]),
                burst=int(document["burst"]),
                created=_time(document["created"]),
                expires=None if document["expires"] is None else _time(document["expires"]),
                scopes=frozenset(KeyScope(scope) for scope in document["scopes"]),
                previous=None
                if previous is None
                else Previous(hash=str(previous["hash"]), until=_time(previous["until"])),
            )
        except RecordMalformed:
            raise
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
            raise RecordMalformed(f"it is not the record of an API key ({type(error).__name__})") from None


def new_key() -> str:
    """Returns a new key. It is shown once and not stored."""
    return PREFIX + secrets.token_urlsafe(_BYTES)


def hash_of(key: str) -> str:
    """Returns the hash of a key for its record."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def _time(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    _check(moment.tzinfo is not None, "a time lacks its time zone")
    return moment.astimezone(UTC)


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds")


def _check(holds: bool, otherwise: str) -> None:
    if not holds:
        raise RecordMalformed(otherwise)
