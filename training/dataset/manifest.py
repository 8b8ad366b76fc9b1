"""A dataset's manifest: one line a photo, sorted by key, named by its own hash, written once."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, fields
from enum import StrEnum
from functools import cached_property
from hashlib import sha256 as sha256_of
from typing import Any, Final, Self

from registry.encoding import SHA256, canonical, parse_canonical, sha256_hex
from registry.errors import ObjectExists, ObjectMissing
from registry.layout.data_lake import DATASETS, manifest_key
from registry.store.object_store import ObjectStore
from training.errors import DatasetMissing, ManifestMalformed

_HASH64: Final = re.compile(r"[0-9a-f]{16}")
_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")
_NAMED: Final = 10
_CUT_OFF: Final = "the manifest's last line is cut off; ingest the photos again"

MANIFEST_SUFFIX: Final = ".jsonl"
"""Of a manifest's key; other records are next to it, under longer names."""


class Split(StrEnum):
    """What a photo is for."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


_SPLITS: Final = re.compile("|".join(Split))


@dataclass(frozen=True, kw_only=True, slots=True)
class Photo:
    """One photo of a dataset; its bytes are in the data lake under their hash."""

    key: str  # where it was found, relative to the ingested folder
    sha256: str
    width: int
    height: int
    label: str
    split: Split
    group: str  # camera, source or burst; photos of one group share a split
    captured_at: str | None
    perceptual_hash: str  # 16 hexadecimal digits
    brightness: float
    sharpness: float
    groups: tuple[tuple[str, str], ...] = ()  # further columns of the index by which figures are grouped, ascending

    @classmethod
    def from_line(cls, line: bytes) -> Self:
        """Read one line of a manifest, strictly; ValueError naming the field."""
        facts = parse_canonical(line)
        numbers = {name: facts.number(name) for name in ("brightness", "sharpness")}
        photo = cls(
            key=facts.text("key"),
            sha256=facts.text("sha256", SHA256),
            width=facts.count("width"),
            height=facts.count("height"),
            label=facts.text("label"),
            split=Split(facts.text("split", _SPLITS)),
            group=facts.text("group"),
            captured_at=facts.optional_text("captured_at", _MOMENT),
            perceptual_hash=facts.text("perceptual_hash", _HASH64),
            groups=tuple(sorted(facts.mapping_to_text("groups").items())) if "groups" in facts.rest() else (),
            **numbers,
        )
        facts.done()
        return photo


_FACTS: Final = tuple(each.name for each in fields(Photo) if each.name != "groups")


@dataclass(frozen=True)
class Manifest:
    """The photos of a dataset, ascending by key. Two datasets are the same if their bytes are."""

    photos: tuple[Photo, ...]

    def __post_init__(self) -> None:
        keys = [photo.key for photo in self.photos]
        if keys != sorted(set(keys)):
            raise ManifestMalformed("the manifest's keys are not unique and ascending; ingest the photos again")

    @classmethod
    def of(cls, photos: Iterable[Photo]) -> Self:
        """Make a manifest of photos in any order."""
        return cls(tuple(sorted(photos, key=lambda photo: photo.key)))

    @property
    def labels(self) -> tuple[str, ...]:
        """The class names, ascending: a model's outputs are in this order."""
        return tuple(sorted({photo.label for photo in self.photos}))

    @cached_property
    def sha256(self) -> str:
        """The dataset's name."""
        return sha256_hex(self.to_bytes())

    def part(self, split: Split) -> tuple[Photo, ...]:
        """Returns the photos of one split, ascending by key."""
        return tuple(photo for photo in self.photos if photo.split is split)

    def counts(self) -> dict[str, dict[str, int]]:
        """Count photos by label and split."""
        counted = Counter((photo.label, photo.split) for photo in self.photos)
        return {label: {str(split): counted[label, split] for split in Split} for label in self.labels}

    def to_bytes(self) -> bytes:
        """Write JSON Lines, each line in canonical form (RFC 8785)."""
        return b"".join(canonical(_facts(photo)) + b"\n" for photo in self.photos)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read JSON Lines, strictly; ManifestMalformed names the line."""
        if data and not data.endswith(b"\n"):
            raise ManifestMalformed(_CUT_OFF)
        photos: list[Photo] = []
        for number, line in enumerate(data.split(b"\n")[:-1], start=1):
            try:
                photos.append(Photo.from_line(line))
            except ValueError as error:
                raise ManifestMalformed(f"line {number} of the manifest is not a photo: {error}") from error
        return cls(tuple(photos))


def _facts(photo: Photo) -> dict[str, Any]:
    """Groups are left out where there are none, so that a dataset without keeps the hash that it always had."""
    facts = {name: getattr(photo, name) for name in _FACTS}
    return facts | ({"groups": dict(photo.groups)} if photo.groups else {})


def store_manifest(store: ObjectStore, manifest: Manifest) -> str:
    """Store a manifest unless it is there; returns its hash. ManifestMalformed for one that could not be loaded."""
    try:
        body = manifest.to_bytes()
    except ValueError as error:
        raise ManifestMalformed(f"this dataset cannot be stored: {error}") from error
    Manifest.from_bytes(body)
    sha256 = sha256_hex(body)
    with suppress(ObjectExists):  # the same bytes, for the key is their hash
        store.create(manifest_key(sha256), body)
    return sha256


def load_manifest(store: ObjectStore, sha256_or_prefix: str) -> Manifest:
    """Load a dataset by its hash, or the first digits of it.

    Raises DatasetMissing and ManifestMalformed.
    """
    sha256 = _resolve(store, sha256_or_prefix)
    try:
        body = store.get(manifest_key(sha256))
    except ObjectMissing as error:
        raise DatasetMissing(f"no dataset {sha256}; `petpark data list` shows those that exist") from error
    if sha256_hex(body) != sha256:
        raise ManifestMalformed(f"dataset {sha256} has other bytes than its name promises; ingest the photos again")
    return Manifest.from_bytes(body)


def read_lines(store: ObjectStore, sha256: str) -> Iterator[bytes]:
    """Yield a dataset's lines, one a photo, in bounded memory; not checked but for the dataset's name.

    DatasetMissing; at the end ManifestMalformed, if what was read is not what the name promises.
    """
    digest = sha256_of()
    rest = b""
    try:
        for chunk in store.chunks(manifest_key(sha256)):
            digest.update(chunk)
            *lines, rest = (rest + chunk).split(b"\n")
            yield from lines
    except ObjectMissing as error:
        raise DatasetMissing(f"no dataset {sha256}; `petpark data list` shows those that exist") from error
    if digest.hexdigest() != sha256:
        raise ManifestMalformed(f"dataset {sha256} has other bytes than its name promises; ingest the photos again")
    if rest:
        raise ManifestMalformed(_CUT_OFF)


def count_photos(store: ObjectStore, sha256: str) -> Counter[tuple[str, Split]]:
    """Count a dataset's photos by label and split, in bounded memory; DatasetMissing, ManifestMalformed.

    Of a photo nothing else is looked at: `load_manifest` is strict.
    """
    counted: Counter[tuple[str, Split]] = Counter()
    wrong: ManifestMalformed | None = None
    for number, line in enumerate(read_lines(store, sha256), start=1):
        try:
            facts = json.loads(line)
            counted[facts["label"], Split(facts["split"])] += 1
        except (ValueError, TypeError, KeyError) as error:
            wrong = wrong or ManifestMalformed(f"line {number} of the manifest is not a photo: {error}")
    if wrong:
        raise wrong
    return counted


def list_datasets(store: ObjectStore) -> list[str]:
    """Returns the hashes of all datasets."""
    names = (key.removeprefix(DATASETS) for key in store.keys(DATASETS))
    return [name.removesuffix(MANIFEST_SUFFIX) for name in names if name.endswith(MANIFEST_SUFFIX)]


def _resolve(store: ObjectStore, sha256_or_prefix: str) -> str:
    if SHA256.fullmatch(sha256_or_prefix):
        return sha256_or_prefix
    if not sha256_or_prefix:  # of a variable that is not set, where the only dataset would begin with it
        raise DatasetMissing("the name of the dataset is empty; `petpark data list` shows those that exist")
    found = [name for name in list_datasets(store) if name.startswith(sha256_or_prefix)]
    if len(found) != 1:
        which = f" ({', '.join(found[:_NAMED])}{', …' if len(found) > _NAMED else ''})" if found else ""
        raise DatasetMissing(
            f"{len(found) or 'no'} datasets begin with {sha256_or_prefix!r}{which}; "
            "`petpark data list` shows those that exist"
        )
    return found[0]
