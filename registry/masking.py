"""Secrets in texts: addresses are shown without what may be one, and what is known to be one is removed by value.

A parser alone does not hide a password: people type `#`, `/`, `?` and `[` into addresses as they are, cameras take
user and password in the path or the query, and libraries quote an address in their errors in a spelling of their own.
"""

import base64
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Self, cast
from urllib.parse import quote, unquote

HIDDEN = "…"

_SHORTEST = 4
"""Characters of a secret that is removed from any text; less would hide words. Addresses hide shorter ones as well."""

_HOST = re.compile(r"(\[[0-9a-z:.%]+\]|[^\s@:/?#\[\]%\\]+)(:\d{1,5})?", re.IGNORECASE)
_NAME = re.compile(r"[^\s@:/?#\[\]%\\]+")
_LIKE_A_HOST = re.compile(r"[^/?#]*[.:\[]")  # not the 1 of `rtsp://camera/stream@1`
_SETTING = re.compile(r"([a-z0-9_.-]*)=([^&;/?#]*)", re.IGNORECASE)
_SECRET_NAME = re.compile(r"pass|pwd|pas$|secret|token|key|auth|sig|cred|user|usr|login|session", re.IGNORECASE)
_AS_IT_IS = "-._~!$&'()*+,;="  # RFC 3986, section 3.2.1, besides letters, digits and what is encoded already


class AddressUnclear(ValueError):
    """An address whose parts are ambiguous; the message says what to write, and shows nothing of it."""


@dataclass(frozen=True, kw_only=True)
class Address:
    """An address in parts. `user` and `password` are None if there are none; `rest` is path and query, as written.

    In user and password, `%40` and the like count as encoded already; everything else counts as it was typed.
    """

    scheme: str
    user: str | None
    password: str | None
    host: str
    """With port and brackets."""
    rest: str

    @classmethod
    def parse(cls, url: str) -> Self:
        """Take `scheme://user:password@host:port/path?query` apart, whatever characters the password has.

        Raises AddressUnclear where more than one reading is possible, such as with an `@` in the password and another
        in the path; `%40` makes it clear (RFC 3986, section 2.1).
        """
        scheme, _, after = url.partition("://")
        authority = re.split(r"[/?#]", after, maxsplit=1)[0]
        if "@" in authority and "@" in after[len(authority) :]:
            raise AddressUnclear("it has an @ before and after the host; write all but the separator as %40")
        if "@" in authority:
            login, _, place = after[: len(authority)].rpartition("@")
            place += after[len(authority) :]
        elif "@" in after and (_LIKE_A_HOST.match(after.rpartition("@")[2]) or not _NAME.fullmatch(authority)):
            if after.count("@") > 1 or _HOST.fullmatch(authority):
                raise AddressUnclear("it is unclear which @ ends the password; write / as %2F, ? as %3F, @ as %40")
            login, _, place = after.partition("@")
        else:
            login, place = None, after
        found = _HOST.match(place)
        rest = place[found.end() :] if found else ""
        if found is None or (rest and rest[0] not in "/?#"):
            raise AddressUnclear("it names no host; write user:password@host:port, with / as %2F in a password")
        user, colon, password = (login or "").partition(":")
        return cls(
            scheme=scheme.lower(),
            user=None if login is None else user,
            password=password if colon else None,
            host=found[0],
            rest=rest,
        )

    @property
    def encoded(self) -> str:
        """The address as RFC 3986 writes it, for libraries that take it apart themselves."""
        login = "" if self.user is None else _encoded(self.user)
        login += "" if self.password is None else ":" + _encoded(self.password)
        return f"{self.scheme}://{login}{'' if self.user is None else '@'}{self.host}{self.rest}"

    @property
    def shown(self) -> str:
        """Scheme, host and port: path and query may contain a token, and no rule identifies those."""
        login = "" if self.user is None else f"{HIDDEN}@"
        return f"{self.scheme}://{login}{self.host}{'' if self.rest in {'', '/'} else f'/{HIDDEN}'}"

    def secrets(self) -> Iterator[str]:
        """The secrets to hide, in every spelling that a library may use."""
        yield self.encoded
        if self.rest not in {"", "/"}:
            yield from _spellings(self.rest.partition("?")[2])
        for name, value in _SETTING.findall(self.rest):
            if _SECRET_NAME.search(name):
                yield from _spellings(value)
        for value in (self.password, self.user if self.password is None else None):
            yield from _spellings(value or "")
        if self.user is not None:
            login = f"{self.user}:{self.password or ''}"
            yield from _spellings(login)
            yield base64.b64encode(unquote(login).encode("utf-8", "surrogatepass")).decode()


def shown_address(url: str) -> str:
    """An address as it may be shown and logged; the path of a file as it is, and what is neither not at all."""
    if "://" not in url:
        return url
    try:
        return Address.parse(url).shown
    except AddressUnclear:
        return f"{url.partition('://')[0]}://{HIDDEN}"


class Secrets:
    """Texts that must not leave the process; `hide` removes them from others."""

    def __init__(self, texts: Iterable[str] = ()) -> None:
        found = sorted({text for text in texts if len(text) >= _SHORTEST}, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, found))) if found else None

    @classmethod
    def of_addresses(cls, urls: Iterable[str]) -> Self:
        """All that is secret in addresses, and the addresses themselves."""
        return cls(secret for url in urls if "://" in url for secret in (url, *_secrets_of(url)))

    def hide(self, text: str) -> str:
        """The text with `…` in place of every secret."""
        return text if self._pattern is None else self._pattern.sub(HIDDEN, text)

    def hide_in(self, value: object) -> object:
        """A JSON document with every text, keys aside, hidden; what is not JSON becomes its text."""
        if self._pattern is None or value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, Mapping):
            return {key: self.hide_in(each) for key, each in cast("Mapping[object, object]", value).items()}
        if isinstance(value, list | tuple):
            return [self.hide_in(each) for each in cast("list[object]", value)]
        return self.hide(str(value))


def _secrets_of(url: str) -> Iterator[str]:
    try:
        yield from Address.parse(url).secrets()
    except AddressUnclear:
        return


def _spellings(text: str) -> Iterator[str]:
    plain = unquote(text)
    yield from (text, plain, _encoded(text), repr(plain)[1:-1])
    yield from (quote(each, safe=safe) for each in (text, plain) for safe in ("", _AS_IT_IS))


def _encoded(text: str) -> str:
    """Encode what is not encoded; `%41` stays."""
    parts = re.split(r"(%[0-9a-fA-F]{2})", text)
    return "".join(part if number % 2 else quote(part, safe=_AS_IT_IS) for number, part in enumerate(parts))
