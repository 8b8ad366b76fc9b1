"""Stored samples of recorded predictions, and the append-only logs of people's labels."""

import re
import secrets
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, Self

from registry.encoding import DIGEST, WRITE_ID, Fields, canonical, parse_canonical, parse_time
from registry.layout.data_lake import label_key, labeller_prefix, labellers_prefix, sample_key, samples_prefix
from registry.logs.log import Log
from registry.store.object_store import ObjectStore

SAMPLE_ID: Final = re.compile(r"(\d{8}T\d{2})-(\d{8}T\d{2})")
PERSON: Final = re.compile(r"[\w+=,.@-]{1,64}", re.ASCII)
"""Name of a role's session: https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html"""

_FORMAT: Final = 1
_HOUR: Final = "%Y%m%dT%H"
_TRIES: Final = 100  # if other tabs of the same person write at the same time


class Answer(StrEnum):
    """A person's label of a photo."""

    CLASS = "class"
    """It shows the record's class."""
    NEITHER = "neither"
    """It shows none of the classes."""
    UNKNOWN = "unknown"
    """The picture does not show which class it is."""
    WITHDRAWN = "withdrawn"
    """The person withdraws their label."""


class LabelRecordMalformed(ValueError):
    """A stored sample or label cannot be read; the message has its key."""


@dataclass(frozen=True, kw_only=True)
class Stratum:
    """A stratum of recorded photos."""

    week: str
    """ISO 8601: 2026-W48"""
    camera: str
    version: int
    label: str
    """Predicted class."""
    band: int
    """Number of bounds of confidence below it (`monitoring.late_labels.estimates.BANDS`)."""
    recorded: int
    """Recorded photos in the stratum."""


@dataclass(frozen=True, kw_only=True)
class SampledPhoto:
    """A photo to label."""

    key: str
    """Key of the file of recorded predictions."""
    row: int
    """Row in this file, counted from 0."""
    id: str | None
    """`request_id` of the prediction; None if the policy redacts it."""
    item: int
    at: str
    digest: str
    """Of the version that made it."""
    confidence: float
    stratum: int
    """Index in `Sample.strata`."""
    twice: bool
    """Whether two people label it."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A sample of the predictions that a stack recorded in a period."""

    id: str
    stack: str
    seed: int
    by: str  # ARN, as STS reports it
    at: str
    classes: tuple[str, ...]
    recorded: int
    """Number of predictions with a thumbnail, which the photos represent."""
    without_thumbnail: int
    """Number of predictions without a thumbnail, which cannot be labelled."""
    strata: tuple[Stratum, ...]
    photos: tuple[SampledPhoto, ...]

    def to_bytes(self) -> bytes:
        """RFC 8785."""
        return canonical({"format": _FORMAT, **asdict(self)})

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Returns the parsed record. Strict. Raises `LabelRecordMalformed`."""
        try:
            return cls._parsed(parse_canonical(data))
        except ValueError as error:
            raise LabelRecordMalformed(f"not a sample: {error}") from error

    @classmethod
    def _parsed(cls, fields: Fields) -> Self:
        _known_format(fields)
        sample = cls(
            id=fields.text("id", SAMPLE_ID),
            stack=fields.text("stack"),
            seed=fields.count("seed", least=0),
            by=fields.text("by"),
            at=_time(fields, "at"),
            classes=fields.texts("classes"),
            recorded=fields.count("recorded", least=0),
            without_thumbnail=fields.count("without_thumbnail", least=0),
            strata=tuple(_stratum(each) for each in fields.nested_list("strata")),
            photos=tuple(_photo(each) for each in fields.nested_list("photos")),
        )
        fields.done()
        if any(photo.stratum >= len(sample.strata) for photo in sample.photos):
            raise ValueError("a photo has no stratum")
        return sample


def _stratum(fields: Fields) -> Stratum:
    stratum = Stratum(
        week=fields.text("week", re.compile(r"\d{4}-W\d\d")),
        camera=fields.text("camera"),
        version=fields.count("version"),
        label=fields.text("label"),
        band=fields.count("band", least=0),
        recorded=fields.count("recorded"),
    )
    fields.done()
    return stratum


def _photo(fields: Fields) -> SampledPhoto:
    photo = SampledPhoto(
        key=fields.text("key"),
        row=fields.count("row", least=0),
        id=fields.optional_text("id"),
        item=fields.count("item", least=0),
        at=_time(fields, "at"),
        digest=fields.text("digest", DIGEST),
        confidence=fields.number("confidence"),
        stratum=fields.count("stratum", least=0),
        twice=fields.flag("twice"),
    )
    fields.done()
    return photo


def _known_format(fields: Fields) -> None:
    if (found := fields.count("format")) != _FORMAT:
        raise ValueError(f"format {found} is newer than this petpark")


def _time(fields: Fields, name: str) -> str:
    parse_time(text := fields.text(name))
    return text


@dataclass(frozen=True, kw_only=True)
class Label:
    """One record of a person's log."""

    photo: int
    """Number in the sample, counted from 1."""
    answer: Answer
    label: str | None
    """The class; None unless the answer is one."""
    by: str  # ARN, as STS reports it
    at: str
    write_id: str
    """Random; a writer recognises its own record by it if the store's response was lost."""

    def to_bytes(self) -> bytes:
        """RFC 8785."""
        return canonical({"format": _FORMAT, **asdict(self)})

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Returns the parsed record. Strict. Raises `LabelRecordMalformed`."""
        try:
            fields = parse_canonical(data)
            _known_format(fields)
            label = cls(
                photo=fields.count("photo"),
                answer=Answer(fields.text("answer")),
                label=fields.optional_text("label"),
                by=fields.text("by"),
                at=_time(fields, "at"),
                write_id=fields.text("write_id", WRITE_ID),
            )
            fields.done()
        except ValueError as error:
            raise LabelRecordMalformed(f"not a label: {error}") from error
        if (label.label is not None) is not (label.answer is Answer.CLASS):
            raise LabelRecordMalformed(f"not a label: the answer {label.answer} has the class {label.label!r}")
        return label


@dataclass(frozen=True, kw_only=True)
class Given:
    """A person's current label of a photo: the newest of their records about it."""

    person: str
    photo: int
    answer: Answer
    label: str | None
    number: int
    """Number of the record in the person's log."""
    at: str

    @property
    def word(self) -> str:
        """The answer in one word, by which labels are compared."""
        return f"class {self.label}" if self.answer is Answer.CLASS else self.answer


class LabelsMoved(Exception):
    """The person has meanwhile labelled the photo in another tab; `standing` is that record, None if withdrawn."""

    def __init__(self, photo: int, standing: int | None) -> None:
        super().__init__(f"photo {photo} has been labelled again in the meantime")
        self.photo = photo
        self.standing = standing


class PersonLog:
    """One person's labels of one sample: an append-only log that allows concurrent writers."""

    def __init__(self, store: ObjectStore, stack: str, sample: str, person: str) -> None:
        self.person = person
        self._log = Log(
            store=store,
            prefix=labeller_prefix(stack, sample, person),
            key=lambda number: label_key(stack, sample, person, number),
        )
        self._read: list[tuple[int, Label]] = []

    def refresh(self) -> None:
        """Read new records. Raises LabelRecordMalformed, and the store's errors."""
        numbers = self._log.numbers(after=self._last)
        for number, body in zip(numbers, self._log.read_each(numbers), strict=True):
            self._read.append((number, self._parsed(number, body)))

    def standing(self) -> dict[int, Given]:
        """The person's label of each photo, by its number, in the order of labelling; as of the last read."""
        found: dict[int, Given] = {}
        for number, record in self._read:
            found.pop(record.photo, None)
            if record.answer is not Answer.WITHDRAWN:
                found[record.photo] = Given(
                    person=self.person,
                    photo=record.photo,
                    answer=record.answer,
                    label=record.label,
                    number=number,
                    at=record.at,
                )
        return found

    def add(self, photo: int, answer: Answer, label: str | None, *, by: str, at: str, seen: int | None) -> None:
        """Append a record about `photo`, if the person's current record is `seen` (None: none).

        Raises `LabelsMoved` if it is another, and the store's errors.
        """
        record = Label(photo=photo, answer=answer, label=label, by=by, at=at, write_id=secrets.token_hex(16))
        for _ in range(_TRIES):
            standing = self.standing().get(photo)
            if (standing.number if standing else None) != seen:
                raise LabelsMoved(photo, standing.number if standing else None)
            number = self._last + 1
            body = self._log.append(number, record.to_bytes())
            self._read.append((number, self._parsed(number, body)))
            if body == record.to_bytes():
                return
        raise LabelsMoved(photo, seen)

    @property
    def _last(self) -> int:
        return self._read[-1][0] if self._read else 0

    def _parsed(self, number: int, body: bytes) -> Label:
        try:
            return Label.from_bytes(body)
        except LabelRecordMalformed as error:
            raise LabelRecordMalformed(f"{self._log.key(number)}: {error}") from error


def people_of(store: ObjectStore, stack: str, sample: str) -> list[str]:
    """Returns the people who labelled any photo of a sample. Needs one request per person."""
    root, after, found = labellers_prefix(stack, sample), "", list[str]()
    while (key := next(iter(store.keys(root, after=after)), None)) is not None:
        person = key.removeprefix(root).partition("/")[0]
        if PERSON.fullmatch(person):
            found.append(person)
        after = f"{root}{person}0"  # after "/": skips all keys of this folder
    return found


def sample_ids(store: ObjectStore, stack: str) -> list[str]:
    """Returns the ids of a stack's samples, oldest first. Needs one request per sample."""
    root, after, found = samples_prefix(stack), "", list[str]()
    while (key := next(iter(store.keys(root, after=after)), None)) is not None:
        sample = key.removeprefix(root).partition("/")[0]
        if key == sample_key(stack, sample) or SAMPLE_ID.fullmatch(sample):
            found.append(sample)
        after = f"{root}{sample}0"
    return found


def read_sample(store: ObjectStore, stack: str, sample: str) -> Sample:
    """Returns a sample. Raises `ObjectMissing`, `LabelRecordMalformed`."""
    key = sample_key(stack, sample)
    try:
        found = Sample.from_bytes(store.get(key))
    except LabelRecordMalformed as error:
        raise LabelRecordMalformed(f"{key}: {error}") from error
    if (found.id, found.stack) != (sample, stack):
        raise LabelRecordMalformed(f"{key}: it is sample {found.id} of stack {found.stack}")
    return found


def sample_id(start: datetime, end: datetime) -> str:
    """Returns the id of the sample of the hours from `start` to `end`, both UTC."""
    return f"{start:{_HOUR}}-{end:{_HOUR}}"


def hours_of(sample: str) -> tuple[datetime, datetime]:
    """Returns a sample's start and (exclusive) end. Raises `LabelRecordMalformed`."""
    found = SAMPLE_ID.fullmatch(sample)
    try:
        if found is None:
            raise ValueError(sample)  # noqa: TRY301  as for a day that no month has
        begin, over = (datetime.strptime(hour, _HOUR).replace(tzinfo=UTC) for hour in found.groups())
    except ValueError:
        raise LabelRecordMalformed(f"{sample!r} is not a sample's name") from None
    return begin, over
