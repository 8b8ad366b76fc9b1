"""Decisions of people about photos: another label, or excluded. Each makes a new dataset, with who and why.

The record is stored next to the new manifest, `datasets/<sha256>.changes/<sha256 of the record>.json`, create-only.
A dataset that was made in several ways has several.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final, Self

from registry.encoding import SHA256, canonical, format_time, parse_canonical, sha256_hex
from registry.errors import ObjectExists
from registry.layout.data_lake import change_key, changes_prefix
from registry.store.object_store import ObjectStore
from training.dataset.fitness import refuse_unfit
from training.dataset.labels import clean_label
from training.dataset.manifest import Manifest, Photo, load_manifest, store_manifest
from training.errors import ManifestMalformed, NothingToChange, PhotoUnknown

_NAMED: Final = 3


class Ruling(StrEnum):
    """What was decided."""

    RELABEL = "relabel"
    EXCLUDE = "exclude"
    INGEST = "ingest"
    """Nothing about single photos: more, or fewer, of them were ingested upon an earlier dataset."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A photo that was decided about."""

    key: str
    sha256: str
    label: str
    """The label that it had."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """How a dataset came from its parent."""

    ruling: Ruling
    dataset: str
    parent: str | None  # None for an ingestion upon nothing
    by: str  # ARN, as STS gives it
    why: str
    at: str
    becomes: str | None  # the new label
    photos: tuple[Subject, ...]

    def to_bytes(self) -> bytes:
        """RFC 8785; ManifestMalformed for what JSON cannot express."""
        try:
            return canonical(asdict(self))
        except ValueError as error:
            raise ManifestMalformed(f"a dataset's change record cannot be stored: {error}") from error

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read strictly; ManifestMalformed."""
        try:
            fields = parse_canonical(data)
            change = cls(
                ruling=Ruling(fields.text("ruling")),
                dataset=fields.text("dataset", SHA256),
                parent=fields.optional_text("parent", SHA256),
                by=fields.text("by"),
                why=fields.text("why"),
                at=fields.text("at"),
                becomes=fields.optional_text("becomes"),
                photos=tuple(
                    Subject(key=each.text("key"), sha256=each.text("sha256", SHA256), label=each.text("label"))
                    for each in fields.nested_list("photos")
                ),
            )
            fields.done()
        except ValueError as error:
            raise ManifestMalformed(f"a dataset's change record cannot be read: {error}") from error
        return change


@dataclass(frozen=True, kw_only=True)
class Decision:
    """A decision about a photo; valid in later ingestions while the photo still has the `label` that it had then."""

    ruling: Ruling
    label: str
    becomes: str
    by: str
    why: str


def relabel(
    store: ObjectStore, dataset: str, *, keys: Sequence[str], label: str, by: str, why: str, now: datetime
) -> Change:
    """Make a dataset in which these photos have another label, in the splits where they are.

    Raises PhotoUnknown, NothingToChange, DatasetRefused.
    """
    try:
        label = clean_label(label)
    except ValueError as error:
        raise NothingToChange(f"the new label cannot be used: {error}; say what the photos show") from error

    def apply(photo: Photo) -> Photo | None:
        return replace(photo, label=label)

    return _change(store, dataset, Ruling.RELABEL, keys=keys, apply=apply, becomes=label, by=by, why=why, now=now)


def exclude(store: ObjectStore, dataset: str, *, keys: Sequence[str], by: str, why: str, now: datetime) -> Change:
    """Make a dataset without these photos; their bytes stay in the lake. As `relabel`."""
    return _change(
        store, dataset, Ruling.EXCLUDE, keys=keys, apply=lambda _: None, becomes=None, by=by, why=why, now=now
    )


def record_ingestion(store: ObjectStore, dataset: str, *, parent: str | None, by: str, why: str, now: datetime) -> None:
    """Record that `dataset` extends `parent`, so that the parent's changes are found."""
    if dataset != parent:
        _store(
            store,
            Change(
                ruling=Ruling.INGEST,
                dataset=dataset,
                parent=parent,
                by=by,
                why=why,
                at=format_time(now),
                becomes=None,
                photos=(),
            ),
        )


def history(store: ObjectStore, dataset: str) -> list[Change]:
    """Every change on the way to `dataset`, nearest first."""
    found: list[Change] = []
    waiting, seen = [dataset], {dataset}
    while waiting:
        here = waiting.pop(0)
        changes = [_read(store, key) for key in store.keys(changes_prefix(here))]
        found += sorted(changes, key=lambda change: change.at, reverse=True)
        nexts = [change.parent for change in changes if change.parent and change.parent not in seen]
        seen.update(nexts)
        waiting += nexts
    return found


def _read(store: ObjectStore, key: str) -> Change:
    # Not skipped: without one of its changes a dataset would undo a decision.
    try:
        return Change.from_bytes(store.get(key))
    except ManifestMalformed as error:
        raise ManifestMalformed(f"{key}: {error}; find out who wrote it") from error


def decisions(changes: Iterable[Change]) -> dict[str, Decision]:
    """The valid decision about each photo, by hash, after `changes`, nearest first.

    A photo that was relabelled twice carries in its source the label that it had before the first time.
    """
    found: dict[str, Decision] = {}
    for change in changes:
        if change.ruling is Ruling.INGEST:
            continue
        for photo in change.photos:
            later = found.get(photo.sha256)
            if later is not None:
                found[photo.sha256] = replace(later, label=photo.label)
                continue
            found[photo.sha256] = Decision(
                ruling=change.ruling,
                label=photo.label,
                becomes=change.becomes or photo.label,
                by=change.by,
                why=change.why,
            )
    return found


def _change(
    store: ObjectStore,
    dataset: str,
    ruling: Ruling,
    *,
    keys: Sequence[str],
    apply: Callable[[Photo], Photo | None],
    becomes: str | None,
    by: str,
    why: str,
    now: datetime,
) -> Change:
    if not why.strip():
        raise NothingToChange("a reason is required")
    manifest = load_manifest(store, dataset)
    wanted = _wanted(manifest, keys)
    changed = [apply(photo) if photo.key in wanted else photo for photo in manifest.photos]
    after = Manifest(tuple(photo for photo in changed if photo is not None))
    if after == manifest:
        raise NothingToChange(f"the photos already are labelled {becomes!r}; nothing was changed")
    refuse_unfit(after)
    change = Change(
        ruling=ruling,
        dataset=after.sha256,
        parent=manifest.sha256,
        by=by,
        why=why,
        at=format_time(now),
        becomes=becomes,
        photos=tuple(Subject(key=photo.key, sha256=photo.sha256, label=photo.label) for photo in wanted.values()),
    )
    _store(store, change)  # first: no dataset without its reason, however this ends
    store_manifest(store, after)
    return change


def _wanted(manifest: Manifest, keys: Sequence[str]) -> Mapping[str, Photo]:
    photos = {photo.key: photo for photo in manifest.photos}
    if not keys:
        raise NothingToChange("no photo was named; name one or more by their keys")
    if unknown := [key for key in keys if key not in photos]:
        name = unknown[0].rpartition("/")[2]
        alike = [key for key in photos if key.rpartition("/")[2] == name][:_NAMED]
        like = f"; there is {', '.join(alike)}" if alike else ""
        raise PhotoUnknown(
            f"{len(unknown)} of {len(keys)} photos are not in dataset {manifest.sha256[:12]}, first: "
            f"{unknown[0]!r}{like}. Nothing was changed"
        )
    return {key: photos[key] for key in sorted(set(keys))}


def _store(store: ObjectStore, change: Change) -> None:
    try:
        body = change.to_bytes()
    except ValueError as error:
        raise ManifestMalformed(f"this change cannot be stored: {error}") from error
    Change.from_bytes(body)  # nothing is stored that `history` would stumble over
    with suppress(ObjectExists):  # the same bytes, for the key is their hash
        store.create(change_key(change.dataset, sha256_hex(body)), body)
