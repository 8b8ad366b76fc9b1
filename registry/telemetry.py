"""Recorded predictions: the columns of their Parquet files, and the keys of these files in the data lake.

`serving` writes them, `monitoring` reads them, and `infra` declares the table of Athena from the same columns.
docs/design/telemetry.md
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Any, Final, Self, cast

from registry.encoding import NAME

TELEMETRY: Final = "telemetry/"
"""Prefix in the data lake of all recorded predictions."""

ROOT: Final = f"{TELEMETRY}v1/"
"""The number rises when a column changes its meaning; a new column leaves it as it is."""

CAMERA_HEADER: Final = "x-petpark-camera"
"""Request header in which a camera agent states the camera that a photo is from."""


class CallerClass(StrEnum):
    """Stands for the camera where a request names none. The dot keeps them apart from every camera's name."""

    KEY = "caller.key"
    """A caller with an API key."""
    OPEN = "caller.open"
    """A caller without one."""
    OTHER = "caller.other"
    """A camera beyond the number that one instance keeps apart."""
    REDACTED = "caller.redacted"
    """The policy says that cameras are not recorded."""


class Kind(StrEnum):
    """Type of a column, as Athena spells it.

    https://docs.aws.amazon.com/athena/latest/ug/data-types.html
    """

    STRING = "string"
    INT = "int"
    FLOAT = "float"
    TIMESTAMP = "timestamp"
    STRINGS = "array<string>"
    FLOATS = "array<float>"
    BINARY = "binary"


@dataclass(frozen=True)
class Column:
    """One column of a recorded prediction."""

    name: str
    kind: Kind
    meaning: str
    """With its unit."""
    nullable: bool = False


COLUMNS: Final = (
    Column("id", Kind.STRING, "request_id of the answer; null where the policy redacts it", nullable=True),
    Column("item", Kind.INT, "position of the photo in a batch, counted from 0; 0 for a single photo"),
    Column("at", Kind.TIMESTAMP, "when the photo was classified, UTC, in microseconds"),
    Column("instance", Kind.STRING, "process that answered, as in the key"),
    Column("model", Kind.STRING, "name of the model"),
    Column("version", Kind.INT, "version that answered"),
    Column("digest", Kind.STRING, "its digest, sha256:…"),
    Column("channel", Kind.STRING, "channel that the endpoint follows"),
    Column("entry", Kind.INT, "number of the channel entry in force"),
    Column("arm", Kind.STRING, "champion or challenger; null where no experiment ran", nullable=True),
    Column("label", Kind.STRING, "class of the answer"),
    Column("labels", Kind.STRINGS, "all classes, in the order of the model's outputs"),
    Column("probabilities", Kind.FLOATS, "one for each of labels, 0 to 1"),
    Column("strangeness", Kind.FLOAT, "0 to 1; null where the version has no such output", nullable=True),
    Column(
        "embedding",
        Kind.BINARY,
        "IEEE 754 half-precision numbers, little-endian, two bytes each; null where it is redacted",
        nullable=True,
    ),
    Column("brightness", Kind.FLOAT, "mean luma, 0 (black) to 1 (white)"),
    Column("contrast", Kind.FLOAT, "standard deviation of luma, 0 to 0.5"),
    Column("sharpness", Kind.FLOAT, "variance of the Laplacian of luma; low is blurred"),
    Column("chroma", Kind.FLOAT, "mean of the largest less the smallest channel, 0 (grey) to 1"),
    Column("width", Kind.INT, "of the photo as displayed, in pixels; null for a tensor", nullable=True),
    Column("height", Kind.INT, "of the photo as displayed, in pixels; null for a tensor", nullable=True),
    Column("photo_bytes", Kind.INT, "size of the photo as sent, in bytes; null for a tensor", nullable=True),
    Column("seconds", Kind.FLOAT, "decoding and inference"),
    Column("latency", Kind.FLOAT, "from the request's header lines to this record, in seconds"),
    Column("thumbnail", Kind.BINARY, "JPEG, 96 × 96 pixels; null unless the policy names the camera", nullable=True),
)

PARTITIONS: Final = (
    Column("stack", Kind.STRING, "stack of the endpoint"),
    Column("camera", Kind.STRING, "camera, or class of the caller"),
    Column("date", Kind.STRING, "day of `at`, UTC, YYYY-MM-DD"),
    Column("hour", Kind.STRING, "hour of `at`, UTC, 00 to 23"),
)
"""Columns that are in the key and not in the file."""

REDACTABLE: Final = frozenset({"camera", "embedding", "id"})
"""What a policy may leave out of every record. Thumbnails are left out unless it names the camera."""

EVERY_CAMERA: Final = "*"
"""In a policy's thumbnails: all of them."""

CAMERA_OR_ALL: Final = re.compile(rf"\*|{NAME.pattern}")
"""What a policy may name among its thumbnails."""

SMALLEST_BUFFER_MB: Final = 16
LARGEST_BUFFER_MB: Final = 4096

_STACK = r"[A-Za-z0-9_.-]+"
_KEY = re.compile(
    re.escape(ROOT)
    + rf"stack=({_STACK})/camera=([a-z0-9.-]+)/date=(\d{{4}}-\d\d-\d\d)/hour=(\d\d)/([A-Za-z0-9.-]+)-(\d{{8}})\.parquet"
)


def camera_of(named: str | None) -> str | None:
    """Returns the camera that a request names; None if it names none, or none that a key could bear."""
    return named if named is not None and NAME.fullmatch(named) else None


@dataclass(frozen=True, kw_only=True, order=True)
class HourPartition:
    """The predictions of one hour at one camera."""

    stack: str
    camera: str
    hour: datetime
    """Its beginning, UTC."""

    @classmethod
    def of(cls, stack: str, camera: str, at: datetime) -> Self:
        """Returns the partition of a prediction."""
        return cls(stack=stack, camera=camera, hour=at.astimezone(UTC).replace(minute=0, second=0, microsecond=0))

    @property
    def end(self) -> datetime:
        """The first moment that is no longer in it."""
        return self.hour + timedelta(hours=1)

    @property
    def prefix(self) -> str:
        """Prefix of its files."""
        return f"{day_prefix(self.stack, self.camera, self.hour.date())}hour={self.hour:%H}/"

    def key(self, instance: str, sequence: int) -> str:
        """Key of the `sequence`-th file that a process wrote, counted from 1 over all partitions."""
        return f"{self.prefix}{instance}-{sequence:08d}.parquet"


def stack_prefix(stack: str) -> str:
    """All recorded predictions of a stack's endpoint."""
    return f"{ROOT}stack={stack}/"


def camera_prefix(stack: str, camera: str) -> str:
    """All recorded predictions of a camera."""
    return f"{stack_prefix(stack)}camera={camera}/"


def day_prefix(stack: str, camera: str, day: date) -> str:
    """All recorded predictions of a camera and a day, UTC."""
    return f"{camera_prefix(stack, camera)}date={day.isoformat()}/"


def partition_of(key: str) -> HourPartition | None:
    """Returns the partition that a key belongs to; None for a key that is no file of recorded predictions."""
    found = _KEY.fullmatch(key)
    if found is None:
        return None
    try:
        hour = datetime.fromisoformat(f"{found[3]}T{found[4]}:00:00+00:00")
    except ValueError:
        return None
    return HourPartition(stack=found[1], camera=found[2], hour=hour)


class TelemetryPolicyInvalid(ValueError):
    """A policy cannot be used; the message names the key and what it may be."""


@dataclass(frozen=True, kw_only=True)
class TelemetryPolicy:
    """What an endpoint records of its predictions. The defaults record nothing."""

    sample_percent: int = 0
    """Share of the predictions that are recorded."""
    buffer_mb: int = 64
    """Memory for records that are not uploaded yet, in 10^6 bytes."""
    thumbnails: tuple[str, ...] = ()
    """Cameras of which a thumbnail is recorded; `*` for all."""
    redact: tuple[str, ...] = ()
    """Columns that are left out of every record."""

    def to_dict(self) -> dict[str, object]:
        """The form in which user data carries it."""
        return {
            "sample_percent": self.sample_percent,
            "buffer_mb": self.buffer_mb,
            "thumbnails": list(self.thumbnails),
            "redact": list(self.redact),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The opposite of `to_dict`, strict: all keys and no other. Raises `TelemetryPolicyInvalid`."""
        wanted = set(cls.__dataclass_fields__)
        if wanted != set(values):
            found = ", ".join(sorted(values)) or "none"
            raise TelemetryPolicyInvalid(f"it has the keys {found}; expected {', '.join(sorted(wanted))}")
        return cls(
            sample_percent=_integer(values, "sample_percent", 0, 100),
            buffer_mb=_integer(values, "buffer_mb", SMALLEST_BUFFER_MB, LARGEST_BUFFER_MB),
            thumbnails=_names(values, "thumbnails", _is_camera_or_all, "camera names, or '*' for all"),
            redact=_names(values, "redact", REDACTABLE.__contains__, ", ".join(sorted(REDACTABLE))),
        )

    def samples(self, request_id: str, item: int = 0) -> bool:
        """Whether a prediction is recorded: the same answer for the same id, everywhere and at any time."""
        if not 0 < self.sample_percent < 100:
            return self.sample_percent > 0
        drawn = hashlib.blake2b(f"{request_id}/{item}".encode(), digest_size=4).digest()
        return int.from_bytes(drawn) * 100 < self.sample_percent << 32

    def allows_thumbnail(self, camera: str) -> bool:
        """Whether a thumbnail of a camera's photo is recorded."""
        return EVERY_CAMERA in self.thumbnails or camera in self.thumbnails


def _is_camera_or_all(text: str) -> bool:
    return CAMERA_OR_ALL.fullmatch(text) is not None


def _integer(values: Mapping[str, Any], key: str, lowest: int, highest: int) -> int:
    value = values[key]
    if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
        raise TelemetryPolicyInvalid(f"`{key}` is {value!r}; expected a whole number from {lowest} to {highest}")
    return value


def _names(values: Mapping[str, Any], key: str, allowed: Callable[[str], bool], expected: str) -> tuple[str, ...]:
    value = values[key]
    if not isinstance(value, list) or not all(
        isinstance(name, str) and allowed(name) for name in cast("list[object]", value)
    ):
        raise TelemetryPolicyInvalid(f"`{key}` is {value!r}; expected a list of {expected}")
    return tuple(cast("list[str]", value))
