"""Reads single values of a stack's configuration and collects those that cannot be used."""

import ipaddress
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeGuard, cast

from infra.configuration.instance_types import InstanceType, InstanceTypeUnsupported, instance_type

_PROVIDERS = frozenset({"cpu", "cuda", "openvino", "tensorrt"})
"""ONNX Runtime's short names that an endpoint knows (`serving.inference.execution_providers`)."""

NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")
NONE = "none"
"""Value of a setting that is deliberately empty."""

EXPIRES = "petpark:expires"
"""The tag with a stack's last day, after which `petpark teardown` destroys it; `NONE` for a stack that stays."""

SEALED = "https://sealed.invalid/"
"""Placeholder for a secret address that cannot be decrypted here. https://www.rfc-editor.org/rfc/rfc2606"""

_PAGE = re.compile(rf"{NONE}|(?=.{{10,200}}$)https://[A-Za-z0-9.-]+(:[0-9]{{1,5}})?(/[-A-Za-z0-9._~/?=&%@:+]*)?")
_URL = re.compile(
    r"https://([A-Za-z0-9-]{1,63}\.)+[A-Za-z]{2,63}(:[0-9]{1,5})?"
    r"([/?](%[0-9A-Fa-f]{2}|[-()_.!~';/?:@&=+$,A-Za-z0-9]){0,1700})?"
    r"|http://127\.0\.0\.1:[0-9]{1,5}/[^\s\"<>]*"
)
"""A URL that EventBridge accepts, without user, fragment and `*`, its placeholder. Plain HTTP is allowed on loopback
only, because the URL is a secret.
https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_ApiDestination.html"""

_LABEL = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
SHORT_NAME = "a short name of lower-case letters, digits and hyphens"

_MOST_TYPES = 8
"""The most alternative instance types: each is tried in every zone before a launch fails."""


_SHOWN = 400
"""Characters of a wrong value that are shown."""

# https://www.rfc-editor.org/rfc/rfc5321#section-4.5.3.1
_EMAIL = re.compile(rf"[^\s@\"<>]{{1,64}}@({_LABEL}\.)+{_LABEL}", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Check:
    """What a setting may be: the check that a value is read with, as `docs/settings.md` shows it."""

    expected: str
    bounds: tuple[int, int] | None = None
    """Lowest and highest, for whole numbers."""
    choices: tuple[str, ...] = ()
    """All values, where there are few; else those that mean something special."""
    instance_types: bool = False
    """It names EC2 instance types that are paid for by the hour."""


class SettingsInvalid(ValueError):
    """The stack's configuration cannot be used; the message lists every key that is wrong."""


class Reader:
    """Reads values and remembers what is wrong with them, so that one error can tell all of it.

    What is returned for a wrong value is never seen: `settle` raises.
    """

    def __init__(self, get: Callable[[str], str | None], namespace: str) -> None:
        self._get = get
        self._namespace = namespace
        self._wrong: list[str] = []
        self.checks: dict[str, Check] = {}
        """What each key was read with, by key."""

    def settle(self) -> None:
        """Raise `SettingsInvalid` with everything that was refused."""
        if self._wrong:
            raise SettingsInvalid(
                "the stack's configuration cannot be used:\n"
                + "\n".join(f"  {line}" for line in self._wrong)
                + "\nchange Pulumi.<stack>.yaml; Pulumi.yaml says what each key means"
            )

    def refuse(self, key: str, value: str | None, expected: str) -> None:
        """Remember that `key` cannot be used, and what was expected of it."""
        found = "not set" if value is None else repr(value)
        self._wrong.append(f"{self._full(key)} is {_shown(found)}; expected {_shown(expected)}")

    def refuse_for(self, key: str, problems: Sequence[str]) -> None:
        """Remember that `key` cannot be used, for each of these reasons."""
        self._wrong += [f"{self._full(key)}: {problem}" for problem in problems]

    def optional(self, key: str, absent: str) -> str | None:
        """Read a text; None if it is the word for "deliberately empty"."""
        value = self._read(key, lambda text: text or None, f"a value, or {absent!r}", "")
        return None if value == absent else value

    def stack(self, key: str, absent: str) -> str | None:
        """Read the name of a stack; None if it is the word for "deliberately empty".

        https://www.pulumi.com/docs/iac/concepts/stacks/
        """
        fits = re.compile(r"[A-Za-z0-9_.-]{1,100}")
        check = Check(expected=f"the name of a stack, or {absent!r}", choices=(absent,))
        value = self._read(key, lambda text: text if fits.fullmatch(text) else None, check, absent)
        return None if value == absent else value

    def email(self, key: str) -> str | None:
        """Read an address of e-mail; None if it is deliberately empty."""
        expected = f"an address such as park@example.org, or {NONE!r}"
        value = self._read(key, lambda text: text if text == NONE or _EMAIL.fullmatch(text) else None, expected, NONE)
        return None if value == NONE else value

    def host_name(self, key: str) -> str | None:
        """Read a DNS name, in lower case; None if it is deliberately empty."""
        fits = re.compile(rf"{NONE}|(?=.{{4,253}}$)({_LABEL}\.)+[a-z][a-z0-9-]*[a-z0-9]")
        expected = f"a DNS name such as photos.park.example, in lower case, or {NONE!r}"
        value = self._read(key, lambda text: text if fits.fullmatch(text) else None, expected, NONE)
        return None if value == NONE else value

    def page(self, key: str) -> str | None:
        """Read the https address of a page; None if it is deliberately empty."""
        expected = f"an https address without spaces, quotes and #, of at most 200 characters, or {NONE!r}"
        value = self._read(key, lambda text: text if _PAGE.fullmatch(text) else None, expected, NONE)
        return None if value == NONE else value

    def name(self, key: str) -> str:
        """Read a short name."""
        return self._read(key, lambda text: text if NAME.fullmatch(text) else None, SHORT_NAME, "")

    def boolean(self, key: str) -> bool:
        """Read `true` or `false`."""
        choices = {"true": True, "false": False}
        return self._read(key, choices.get, Check(expected="true or false", choices=tuple(choices)), False)

    def integer(self, key: str, lowest: int, highest: int) -> int:
        """Read a whole number within bounds, both included."""
        digits = re.compile(r"[0-9]{1,9}")

        def parse(text: str) -> int | None:
            return int(text) if digits.fullmatch(text) and lowest <= int(text) <= highest else None

        check = Check(expected=f"a whole number from {lowest} to {highest}", bounds=(lowest, highest))
        return self._read(key, parse, check, lowest)

    def one_of[T: (str, int)](self, key: str, choices: tuple[T, ...]) -> T:
        """Read one of the choices."""
        by_text = {str(choice): choice for choice in choices}
        check = Check(expected=f"one of {', '.join(by_text)}", choices=tuple(by_text))
        return self._read(key, by_text.get, check, choices[0])

    def network(self, key: str, prefixes: range) -> str:
        """Read an IPv4 block with a prefix of one of these lengths."""

        def parse(text: str) -> str | None:
            try:
                network = ipaddress.IPv4Network(text)
            except ValueError:
                return None
            return str(network) if network.prefixlen in prefixes else None

        expected = f"an IPv4 block such as 10.20.0.0/16, with a prefix from /{prefixes[0]} to /{prefixes[-1]}"
        return self._read(key, parse, expected, "")

    def zones(self, key: str, region: str) -> tuple[str, str]:
        """Read two different availability zones of the region."""

        def parse(text: str) -> tuple[str, str] | None:
            match [name.strip() for name in text.split(",")]:
                case [first, second] if first != second and all(zone.fullmatch(name) for name in (first, second)):
                    return first, second
                case _:
                    return None

        zone = re.compile(rf"{re.escape(region)}[a-z]")
        return self._read(key, parse, f"two zones of the region, such as {region}a,{region}b", ("", ""))

    def instance_type(self, key: str) -> InstanceType:
        """Read an EC2 instance type of the table in `infra.configuration.instance_types`."""
        value = self._get(key)
        expected = "an EC2 instance type that petpark can use, such as c7i.large or g5.xlarge"
        self.checks[key] = Check(expected=expected, instance_types=True)
        try:
            return instance_type(value or "")
        except InstanceTypeUnsupported as problem:
            self.refuse(key, value, f"a type that petpark can use: {problem}")
            return instance_type("t3.micro")

    def instance_types(self, key: str) -> tuple[InstanceType, ...]:
        """Read a list of instance types that one machine image fits, in order of preference."""
        expected = f"a list of 1 to {_MOST_TYPES} instance types, such as [g5.xlarge, g6.xlarge]"
        names = self.texts(key, re.compile(r"\S+"), expected, least=1)
        self.checks[key] = Check(expected=expected, instance_types=True)
        try:
            types = tuple(instance_type(name) for name in names)
        except InstanceTypeUnsupported as problem:
            self.refuse(key, ", ".join(names), f"types that petpark can use: {problem}")
            types = ()
        if len(types) > _MOST_TYPES:
            self.refuse(key, ", ".join(names), expected)
        if len({kind.image_parameter for kind in types}) > 1:
            expected = "types that share a machine image: of one architecture, and all with a GPU or all without"
            self.refuse(key, ", ".join(names), expected)
        return types or (instance_type("t3.micro"),)

    def gpu_types(self, key: str) -> tuple[str, ...]:
        """Read a list of instance types with a GPU; [] for none."""
        names = self.texts(key, re.compile(r"\S+"), "a list of instance types with a GPU, such as [g5.xlarge], or []")
        for name in names:
            try:
                plain = instance_type(name).gpu is None
            except InstanceTypeUnsupported as problem:
                self.refuse(key, name, f"types that petpark can use: {problem}")
            else:
                if plain:
                    self.refuse(key, name, "types with a GPU; types without one need no entry")
        return names

    def providers(self, key: str) -> str:
        """Read names of ONNX Runtime's execution providers, in order."""

        def parse(text: str) -> str | None:
            names = [name.strip() for name in text.split(",")]
            return ",".join(names) if set(names) <= _PROVIDERS and len(set(names)) == len(names) else None

        return self._read(key, parse, f"some of {', '.join(sorted(_PROVIDERS))}, separated by commas", "")

    def mapping(self, key: str, expected: str) -> Mapping[str, Any] | None:
        """Read a structured value, which Pulumi gives to programs as JSON; None for a wrong one."""

        def parse(text: str) -> dict[str, Any] | None:
            value = _structure(text)
            return cast("dict[str, Any]", value) if isinstance(value, dict) else None

        return self._read(key, parse, expected, None)

    def accounts(self, key: str, most: int) -> Mapping[str, str]:
        """Read a map from stacks to the ids of their AWS accounts."""

        def parse(text: str) -> Mapping[str, str] | None:
            value = _structure(text)
            if not isinstance(value, dict) or len(cast("dict[str, Any]", value)) > most:
                return None
            found = cast("dict[str, object]", value)
            fitting: dict[str, str] = {
                name: of for name, of in found.items() if NAME.fullmatch(name) and _is_account(of)
            }
            return MappingProxyType(fitting) if len(fitting) == len(found) else None

        expected = f"a map from at most {most} stacks to their account ids (12 digits, in quotes), or {{}}"
        return self._read(key, parse, expected, MappingProxyType({}))

    def text(self, key: str, fits: re.Pattern[str], expected: str) -> str:
        """Read a text like the pattern."""
        return self._read(key, lambda text: text if fits.fullmatch(text) else None, expected, "")

    def texts(self, key: str, each: re.Pattern[str], expected: str, *, least: int = 0) -> tuple[str, ...]:
        """Read a list of texts, each like the pattern and none twice."""

        def parse(text: str) -> tuple[str, ...] | None:
            value = _structure(text)
            if not isinstance(value, list):
                return None
            items = cast("list[object]", value)
            fitting = tuple(item for item in items if isinstance(item, str) and each.fullmatch(item))
            return fitting if len(set(fitting)) == len(items) >= least else None

        return self._read(key, parse, expected, ())

    def secret_url(self, key: str) -> str | None:
        """Read an address that is a secret; None if it is 'none'. Errors do not show its value.

        In a stack's file, read without Pulumi, it is encrypted: then the result is a placeholder.
        """
        expected = f"an https address with a host name and without user, * and #, set with --secret, or {NONE!r}"
        self.checks[key] = Check(expected=expected)
        value = self._get(key)
        if value is not None and value.startswith('{"secure"'):
            return SEALED
        if value == NONE:
            return None
        if value is None or not _URL.fullmatch(value):
            self.refuse(key, None if value is None else "(hidden)", expected)
        return value

    def _full(self, key: str) -> str:
        return key if ":" in key else f"{self._namespace}:{key}"

    def _read[T](self, key: str, parse: Callable[[str], T | None], check: Check | str, instead: T) -> T:
        check = Check(expected=check) if isinstance(check, str) else check
        self.checks[key] = check
        value = self._get(key)
        parsed = None if value is None else parse(value)
        if parsed is not None:
            return parsed
        self.refuse(key, value, check.expected)
        return instead


def _shown(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _structure(text: str) -> object:
    """What a structured value holds; None for what is no JSON, or nested as deeply as nobody writes it."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _is_account(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and re.fullmatch(r"[0-9]{12}", value) is not None
