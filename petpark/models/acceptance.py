"""A version, or an endpoint, tested on a folder of the user's photos."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus
from itertools import batched
from pathlib import Path
from typing import TYPE_CHECKING, Final

import httpx
from botocore.exceptions import BotoCoreError, ClientError

from petpark.errors import EndpointUnfit, OperatorError
from petpark.targets.target import Target
from registry.errors import DigestMismatch, RegistryError
from registry.layout import Role

if TYPE_CHECKING:
    from registry.version import Version
    from registry.versions.catalog import Catalog
    from training.dataset.index import Index, Row
    from training.evaluation.acceptance import Acceptance, Claim
    from training.evaluation.baseline.copies import Grid
    from training.evaluation.baseline.seen_photos import LearnedPhotos, Overlap

KEY: Final = "PETPARK_API_KEY"
"""Environment variable with the API key for an endpoint that asks for one."""

_AT_ONCE: Final = 64
_CALLS: Final = 4
_PATIENCE: Final = httpx.Timeout(30.0, connect=5.0)
_ATTEMPTS: Final = 3

type Answer = Callable[[Sequence[bytes]], list[str | None]]
"""Photos' bytes to labels; None for what is not a photo."""


@dataclass(frozen=True, kw_only=True)
class Tested:
    """What was tested, and how it did."""

    what: str
    found: Acceptance
    claim: Claim | None
    """What the version's own test says; None where nobody knows."""
    left_out: Mapping[str, Overlap] | None
    """Photos that the version learned from, in these or other bytes; None where nobody can tell."""
    unknown: str
    """Why the claim or the left-out photos cannot be determined; empty if they can."""
    skipped: Sequence[tuple[str, str]]


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What answers photos, and what is known of it."""

    what: str
    labels: Sequence[str]
    answer: Answer
    claim: Claim | None
    known: LearnedPhotos | None
    unknown: str = ""
    """Why claim or known photos are None."""


@dataclass(frozen=True, kw_only=True)
class _Photo:
    """A photo of the folder: what it shows, how it looks, and what was answered."""

    key: str
    row: Row
    sha256: str
    perceptual_hash: str
    brightness: float
    captured_at: str | None
    small: Grid | None
    answer: str


def answer_folder(
    folder: Path, subject: Subject, *, index: Index | None, progress: Callable[[int, int], None]
) -> Tested:
    """Answer every photo of `folder`, with one subfolder a class, or as `index` says.

    Subfolders of a class folder are a group. Raises training's `DatasetRefused`.
    """
    from training.dataset.sources import FolderSource
    from training.dataset.sources.source import SkippedFile, Unreadable
    from training.errors import DatasetRefused
    from training.evaluation.acceptance import Answered, measure

    source = FolderSource(folder)
    total, done = source.count() or 0, 0
    photos: list[_Photo] = []
    skipped: list[tuple[str, str]] = []
    for some in batched(source, _AT_ONCE, strict=False):
        taken: list[tuple[str, Row, bytes]] = []
        for found in some:
            row = found.reason if isinstance(found, SkippedFile) else _row(found.key, index)
            try:
                if isinstance(found, SkippedFile) or isinstance(row, str):
                    skipped += [(found.key, str(row))] if row else []
                    continue
                data = found.read()
            except Unreadable as error:
                skipped.append((found.key, str(error)))
                continue
            if row.label not in subject.labels:
                raise DatasetRefused(
                    f"{found.key} shows {row.label!r}, which {subject.what} does not know; it knows: "
                    f"{', '.join(subject.labels)}. Rename the folder, or take it out"
                )
            taken.append((found.key, row, data))
        answered, unread = _answer_some(taken, subject)
        photos += answered
        skipped += [(key, "no photo that can be read") for key in unread]
        done += len(some)
        progress(done, total)
    left_out = None if subject.known is None else _left_out(photos, subject.known)
    tested = [
        Answered(key=photo.key, truth=photo.row.label, answer=photo.answer, groups=_groups(photo.row))
        for photo in photos
        if photo.key not in (left_out or ())
    ]
    if not tested:
        first = f": {skipped[0][0]}, {skipped[0][1]}" if skipped else ""
        raise DatasetRefused(
            f"no photo in {folder} is left to test on ({len(left_out or ())} that it was trained on, {len(skipped)} "
            f"skipped{first}); give a folder with one subfolder of photos for each class"
        )
    return Tested(
        what=subject.what,
        found=measure(tested),
        claim=subject.claim,
        left_out=left_out,
        unknown=subject.unknown,
        skipped=skipped,
    )


def _answer_some(taken: Sequence[tuple[str, Row, bytes]], subject: Subject) -> tuple[list[_Photo], list[str]]:
    """Returns the photos with what was answered, and the keys of those that cannot be read."""
    from imaging import PhotoError, measure
    from registry.encoding import sha256_hex
    from training.evaluation.baseline.copies import grid

    labels = subject.answer([data for _, _, data in taken])
    photos: list[_Photo] = []
    for (key, row, data), label in zip(taken, labels, strict=True):
        if label is None:
            continue
        try:  # looked at only where there is something to compare with
            looks = measure(data) if subject.known else None
            small = grid(data) if subject.known else None
        except PhotoError:  # an endpoint may read what this machine cannot
            looks, small = None, None
        photos.append(
            _Photo(
                key=key,
                row=row,
                sha256=sha256_hex(data),
                perceptual_hash=f"{looks.perceptual_hash if looks else 0:016x}",
                brightness=looks.brightness if looks else 0.0,
                captured_at=row.captured_at or (looks.captured_at if looks else None),
                small=small,
                answer=label,
            )
        )
    return photos, [key for (key, _, _), label in zip(taken, labels, strict=True) if label is None]


def _left_out(photos: Sequence[_Photo], known: LearnedPhotos) -> dict[str, Overlap]:
    """Returns what of the folder the version learned from, by key."""

    def small(place: int) -> Grid:
        found = photos[place].small
        assert found is not None  # noqa: S101 - one that could not be read has a plain hash, which is like no other
        return found

    overlaps = known.overlaps(photos, small)
    return {photo.key: overlap for photo, overlap in zip(photos, overlaps, strict=True) if overlap}


def of_version(target: Target, number: int, directory: Path) -> Subject:
    """A version of the registry, answering as it will when served; raises the registry's errors."""
    from registry.versions.catalog import Catalog
    from registry.versions.decision import DECISION_FILE, Decision
    from training.evaluation.assess import decided
    from training.networks.export import ExportedModel

    # Photos of the data lake are for the publisher to read, and what a version learned from is written there.
    catalog = Catalog(target.store(target.outputs.model_store, role=Role.PUBLISHER), target.outputs.model)
    version = catalog.version(number)
    files = catalog.fetch(version, directory)
    model = ExportedModel(files["model.onnx"])
    rule = Decision.from_json(files[DECISION_FILE].read_bytes(), model.labels) if DECISION_FILE in files else None
    facts = _facts(target, catalog, version)

    def answer(photos: Sequence[bytes]) -> list[str | None]:
        import numpy as np

        from imaging import PhotoError, decode

        def pixels(data: bytes) -> object:
            try:
                return decode(data, model.size)
            except PhotoError:
                return None

        with ThreadPoolExecutor(_CALLS) as pool:
            decoded = list(pool.map(pixels, photos))
        labels: list[str | None] = [None] * len(photos)
        places = [place for place, found in enumerate(decoded) if found is not None]
        if places:
            scores = model.classify(np.stack([decoded[place] for place in places]))  # pyright: ignore[reportArgumentType, reportCallIssue]
            for place, choice in zip(places, decided(scores, model.labels, rule), strict=True):
                labels[place] = model.labels[int(choice)]
        return labels

    return Subject(
        what=f"version {number}",
        labels=model.labels,
        answer=answer,
        claim=facts.claim,
        known=facts.known,
        unknown=facts.unknown,
    )


@dataclass(frozen=True, kw_only=True)
class _Facts:
    """What the registry and the data lake say of a version."""

    claim: Claim | None = None
    known: LearnedPhotos | None = None
    unknown: str = ""


def _facts(target: Target, catalog: Catalog, version: Version) -> _Facts:
    from training.evaluation.acceptance import Claim
    from training.evaluation.baseline.seen_photos import SeenPhotos, Unknown

    claim = Claim.of(version.metrics)
    found = SeenPhotos(catalog, target.store(target.outputs.data_lake, role=Role.PUBLISHER)).of_version(version)
    reasons = [
        *([] if claim else [f"version {version.number} carries no figures of its test"]),
        *([found.because] if isinstance(found, Unknown) else []),
    ]
    return _Facts(claim=claim, known=None if isinstance(found, Unknown) else found, unknown="; ".join(reasons))


def _looked_up(open_target: Callable[[], Target], number: object, digest: object) -> _Facts:
    """What is known of the version that an endpoint serves. Nothing, with the reason, where it cannot be looked up."""
    from registry.versions.catalog import Catalog

    if not isinstance(number, int) or not isinstance(digest, str):
        return _Facts(unknown="the endpoint does not say which version it serves")
    try:
        target = open_target()
        catalog = Catalog(target.store(target.outputs.model_store, role=Role.PUBLISHER), target.outputs.model)
        return _facts(target, catalog, catalog.version(number, digest=digest))
    except DigestMismatch:
        return _Facts(unknown=f"version {number} of this registry is another one than the endpoint serves")
    except (RegistryError, OperatorError, BotoCoreError, ClientError) as error:
        said = error.message if isinstance(error, OperatorError) else str(error)
        return _Facts(unknown=f"the registry cannot be asked: {said}")


def of_endpoint(url: str, open_target: Callable[[], Target], *, key: str | None = None) -> Subject:
    """An endpoint by its URL, with `key`, else the one in `PETPARK_API_KEY` if there is one; raises `EndpointUnfit`.

    `open_target` gives the stack whose registry knows the version that is served. Where it cannot, the endpoint is
    tested all the same.
    """
    key = key or os.environ.get(KEY)
    client = httpx.Client(
        base_url=url,
        timeout=_PATIENCE,
        headers={"authorization": f"Bearer {key}"} if key else {},
        transport=httpx.HTTPTransport(retries=_ATTEMPTS),
    )

    def ask(method: str, path: str, **more: object) -> httpx.Response:
        last = ""
        for _ in range(_ATTEMPTS):
            try:
                response = client.request(method, path, **more)  # pyright: ignore[reportArgumentType]
            except httpx.HTTPError as error:
                last = str(error) or type(error).__name__
                continue
            if response.status_code < HTTPStatus.INTERNAL_SERVER_ERROR:
                return response
            last = f"{response.status_code}: {response.text[:200]}"
        raise EndpointUnfit(f"{url}{path} does not answer: {last}", next_step="petpark endpoints status")

    def answer_one(photo: bytes) -> str | None:
        response = ask("POST", "/v1/classify", content=photo, headers={"content-type": "application/octet-stream"})
        if response.status_code in (HTTPStatus.UNPROCESSABLE_CONTENT, HTTPStatus.CONTENT_TOO_LARGE):
            return None
        return str(_read(response, url)["label"])

    def answer(photos: Sequence[bytes]) -> list[str | None]:
        with ThreadPoolExecutor(_CALLS) as pool:
            return list(pool.map(answer_one, photos))

    served = _read(ask("GET", "/v1/model"), url)
    labels = served.get("labels")
    if not isinstance(labels, list) or not labels:
        raise EndpointUnfit(f"{url} serves no model now.", next_step="petpark endpoints status")
    facts = _looked_up(open_target, served.get("version"), served.get("digest"))
    return Subject(
        what=f"version {served.get('version')} at {url}",
        labels=[str(label) for label in labels],  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
        answer=answer,
        claim=facts.claim,
        known=facts.known,
        unknown=facts.unknown,
    )


def _read(response: httpx.Response, url: str) -> Mapping[str, object]:
    try:
        body = response.json()
    except ValueError:
        body = None
    if not response.is_success or not isinstance(body, dict):
        hint = f"Set {KEY} to a key: petpark keys create" if response.status_code == HTTPStatus.UNAUTHORIZED else ""
        raise EndpointUnfit(
            f"{url} answers {response.status_code}: {response.text[:200]}",
            next_step=hint or "Give the URL of an endpoint: petpark endpoints status",
        )
    return body  # pyright: ignore[reportUnknownVariableType]


def _row(key: str, index: Index | None) -> Row | str:
    """What a file shows and its groups; else why it is skipped, empty if it is not ours to judge."""
    from training.dataset.index import Row
    from training.dataset.labels import clean_label

    if index is not None:
        return index.rows.get(key) or index.refused.get(key) or "not in the index"
    label, _, rest = key.partition("/")
    if not rest:
        return ""
    try:
        label = clean_label(label)
    except ValueError as error:
        return str(error)
    below, slash, _ = rest.rpartition("/")
    return Row(label=label, camera=None, captured_at=None, groups=(("subfolder", below),) if slash else ())


def _groups(row: Row) -> dict[str, str]:
    groups = dict(row.groups)
    if row.camera:
        groups["camera"] = row.camera
    if row.captured_at:
        groups["hour"] = f"{row.captured_at[11:13]} h"
    return groups
