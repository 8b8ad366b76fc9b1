"""An agent's settings: a YAML (or JSON) file, options that override it, and the environment. Read once."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import yaml

from camera.schemes import PROTOCOLS
from registry.encoding import NAME
from registry.masking import HIDDEN, Address, AddressUnclear, Secrets
from registry.strict_yaml import place, read_yaml
from registry.versions.abstention import BACKGROUND

_MEBIBYTE = 1024 * 1024
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
_MAY_BE_SECRET = {"url", "cameras", "endpoint"}
_WORD = re.compile(r"\w{1,40}")
_BLUR = ("found", "everything")

EXAMPLE = """\
endpoint: http://127.0.0.1:8080
home: /var/lib/petpark/camera
data_lake: my-data-lake-bucket
cameras:
  - name: gate
    url: rtsp://user:password@192.0.2.7/stream1
"""


class SettingsInvalid(ValueError):
    """Invalid settings; the message has the setting, its value and what is expected."""


@dataclass(frozen=True, kw_only=True)
class VisitRules:
    """When a visit begins and ends."""

    enter: float = 0.8
    """Minimum probability of a frame for a new visit."""
    stay: float = 0.6
    """Minimum probability of a frame for a visit that has begun; at most `enter`."""
    confirm_seconds: float = 1.0
    """A visit begins after this many seconds of such frames, the first with motion and none below the minimum."""
    leave_seconds: float = 5.0
    """A visit ends after this many seconds without such a frame."""
    quiet_seconds: float = 120.0
    """A visit ends after this many seconds without motion; needed by models without a background class."""
    background: frozenset[str] = BACKGROUND
    """Labels that mean no visitor."""


@dataclass(frozen=True, kw_only=True)
class CameraSettings:
    """One camera."""

    name: str
    url: str = field(repr=False)
    """`rtsp://`, `rtsps://`, `http://` or `https://` (MJPEG), or a file's path; may contain a password."""
    per_second: float = 5.0
    """Maximum frames classified per second."""
    still_seconds: float = 2.0
    """Without motion, one frame in this many seconds is classified."""
    rules: VisitRules = field(default_factory=VisitRules)


@dataclass(frozen=True, kw_only=True)
class AgentSettings:
    """Settings of one agent: cameras, endpoint, storage and upload of events."""

    cameras: tuple[CameraSettings, ...]
    home: Path
    endpoint: str = field(default="http://127.0.0.1:8080", repr=False)
    api_key_file: Path | None = None
    """File with the endpoint's API key; None if it requires none."""
    data_lake: str | None = None
    """Bucket to which events are uploaded; None: they stay in `home`."""
    port: int = 8090
    """Port of the agent's status on 127.0.0.1."""
    spool_bytes: int = 256 * _MEBIBYTE
    retention_hours: float = 72.0
    blur: str = "found"
    answer_seconds: float = 2.0
    """Seconds for the endpoint's whole response; a frame without one in time counts as unanswered."""
    skew_seconds: float = 5.0
    """Maximum deviation of a camera's clock in seconds; beyond it the time of arrival is used."""

    @cached_property
    def secrets(self) -> Secrets:
        """Secrets in these settings, which must not leave the process."""
        return Secrets.of_addresses([self.endpoint, *(camera.url for camera in self.cameras)])


def parse_settings(document: object, *, where: str, defaults: Mapping[str, object] | None = None) -> AgentSettings:
    """Returns the settings of a file's content; `defaults` apply to missing values. Raises `SettingsInvalid`."""
    if not isinstance(document, Mapping):
        raise SettingsInvalid(f"{where} has no settings. Expected something like:\n{EXAMPLE}")
    given = _FieldReader({**(defaults or {}), **document}, where)
    cameras = given.values.get("cameras")
    if not isinstance(cameras, list) or not cameras:
        raise given.wrong("cameras", cameras, "a list of at least one camera with `name` and `url`")
    settings = AgentSettings(
        cameras=tuple(_camera(item, f"{where}, camera {number}") for number, item in enumerate(cameras, start=1)),
        home=Path(given.text("home", required="the folder in which events are stored")),
        endpoint=given.endpoint("endpoint", AgentSettings.endpoint),
        api_key_file=Path(name) if (name := given.text("api_key_file")) else None,
        data_lake=given.text("data_lake") or None,
        port=int(given.number("port", AgentSettings.port, 1, 65535)),
        spool_bytes=int(given.number("spool_bytes", AgentSettings.spool_bytes, _MEBIBYTE, 2**40)),
        retention_hours=given.number("retention_hours", AgentSettings.retention_hours, 0.01, 24 * 366),
        blur=given.choice("blur", AgentSettings.blur, _BLUR),
        answer_seconds=given.number("answer_seconds", AgentSettings.answer_seconds, 0.1, 60),
        skew_seconds=given.number("skew_seconds", AgentSettings.skew_seconds, 0.1, 86400),
    )
    given.refuse_unknown(known.name for known in fields(AgentSettings))
    _refuse_duplicates(settings.cameras, where)
    return settings


def load_settings(path: Path, *, overrides: Mapping[str, object]) -> AgentSettings:
    """Returns the settings of a file; values of `overrides` other than None replace them. Raises `SettingsInvalid`."""
    try:
        document = read_yaml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsInvalid(f"{path}: {error.strerror}. Name a file like:\n{EXAMPLE}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SettingsInvalid(f"{path} is not YAML: {_place(error)}") from None
    said = {name: value for name, value in overrides.items() if value is not None}
    return parse_settings({**document, **said} if isinstance(document, dict) else document, where=str(path))


def _place(error: Exception) -> str:
    """The position of a syntax error. The parser's own message quotes the line, which may contain a password."""
    if not isinstance(error, yaml.MarkedYAMLError):
        return type(error).__name__
    return re.sub(r"'[^']{2,}'", HIDDEN, place(error))


def parse_source(text: str) -> dict[str, str]:
    """Returns name and URL of a camera from `gate=rtsp://…`. Raises `SettingsInvalid`."""
    name, separator, url = text.partition("=")
    if not separator or not NAME.fullmatch(name) or not url:
        raise SettingsInvalid(
            "--source takes NAME=ADDRESS, such as gate=rtsp://192.0.2.7/stream1; "
            "a name has lower-case letters, digits and hyphens."
        )
    return {"name": name, "url": url}


def _camera(item: object, where: str) -> CameraSettings:
    if not isinstance(item, Mapping):
        raise SettingsInvalid(f"{where} is a {type(item).__name__}; expected `name` and `url`.")
    given = _FieldReader(item, where)
    name = given.text("name", required="the camera's name in events")
    if not NAME.fullmatch(name):
        raise given.wrong("name", name, "lower-case letters, digits and hyphens, at most 63")
    url = given.text("url", required="the camera's URL or a file")
    scheme = _SCHEME.match(url)
    if scheme and scheme[1].lower() not in PROTOCOLS:
        schemes = ", ".join(f"{each}://" for each in PROTOCOLS)
        raise given.wrong("url", scheme[0], f"{schemes} or the path of a file")
    if scheme:
        try:
            Address.parse(url)
        except AddressUnclear as error:
            raise SettingsInvalid(f"{where}: `url` is malformed: {error}.") from None
    camera = CameraSettings(
        name=name,
        url=url,
        per_second=given.number("per_second", CameraSettings.per_second, 0.1, 30),
        still_seconds=given.number("still_seconds", CameraSettings.still_seconds, 0.1, 3600),
        rules=_rules(given),
    )
    given.refuse_unknown(["name", "url", "per_second", "still_seconds", *(known.name for known in fields(VisitRules))])
    return camera


def _rules(given: "_FieldReader") -> VisitRules:
    usual = VisitRules()
    rules = VisitRules(
        enter=given.number("enter", usual.enter, 0, 1),
        stay=given.number("stay", usual.stay, 0, 1),
        confirm_seconds=given.number("confirm_seconds", usual.confirm_seconds, 0, 60),
        leave_seconds=given.number("leave_seconds", usual.leave_seconds, 0.5, 3600),
        quiet_seconds=given.number("quiet_seconds", usual.quiet_seconds, 1, 86400),
        background=frozenset(given.texts("background", usual.background)),
    )
    if rules.stay > rules.enter:
        raise given.wrong("stay", rules.stay, f"at most `enter`, which is {rules.enter:g}")
    return rules


def _refuse_duplicates(cameras: Iterable[CameraSettings], where: str) -> None:
    names: set[str] = set()
    for camera in cameras:
        if camera.name in names:
            raise SettingsInvalid(f"{where}: two cameras have the name {camera.name}; their events would be mixed up.")
        names.add(camera.name)


class _FieldReader:
    """Reads a mapping field by field."""

    def __init__(self, values: Mapping[Any, Any], where: str) -> None:
        self.values = values
        self._where = where

    def wrong(self, name: str, value: object, expected: str) -> SettingsInvalid:
        shown = f"a {type(value).__name__}" if name in _MAY_BE_SECRET and value is not None else f"{value!r:.80}"
        return SettingsInvalid(f"{self._where}: `{name}` is {shown}; expected {expected}.")

    def text(self, name: str, *, required: str | None = None) -> str:
        value = self.values.get(name)
        if value is None and required is None:
            return ""
        if not isinstance(value, str) or not value.strip():
            raise self.wrong(name, value, required or "a text")
        return value.strip()

    def texts(self, name: str, usual: Iterable[str]) -> list[str]:
        value = self.values.get(name, list(usual))
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.wrong(name, value, "a list of labels")
        return value

    def number(self, name: str, usual: float, lowest: float, highest: float) -> float:
        value = self.values.get(name, usual)
        if isinstance(value, bool) or not isinstance(value, int | float) or not lowest <= value <= highest:
            raise self.wrong(name, value, f"a number from {lowest:g} to {highest:g}")
        return float(value)

    def choice(self, name: str, usual: str, choices: Iterable[str]) -> str:
        value = self.values.get(name, usual)
        if value not in choices:
            raise self.wrong(name, value, " or ".join(choices))
        return str(value)

    def endpoint(self, name: str, usual: str) -> str:
        value = self.values.get(name, usual)
        try:
            address = Address.parse(value) if isinstance(value, str) else None
            if address is not None and address.scheme in {"http", "https"}:
                httpx.URL(address.encoded)
                return address.encoded
        except (AddressUnclear, httpx.InvalidURL):
            pass
        raise self.wrong(name, value, "an endpoint's address, such as http://127.0.0.1:8080")

    def refuse_unknown(self, known: Iterable[str]) -> None:
        names = sorted(known)
        for name in self.values:
            if name not in names:
                shown = f"`{name}`" if _WORD.fullmatch(str(name)) else "a name with characters other than letters"
                raise SettingsInvalid(f"{self._where}: {shown} is not a setting. Available: {', '.join(names)}.")
