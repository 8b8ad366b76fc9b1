"""A version, or an endpoint, tested on a folder of photos that somebody brings."""

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

from petpark.errors import EndpointUnfit
from petpark.target import Target
from registry.layout import Role

if TYPE_CHECKING:
    from training.dataset.index import Index, Row
    from training.evaluation.acceptance import Acceptance, Answered, Claim

KEY: Final = "PETPARK_API_KEY"
"""Environment variable with the API key for an endpoint that asks for one."""

_AT_ONCE: Final = 64
_CALLS: Final = 4
_PATIENCE: Final = httpx.Timeout(30.0, connect=5.0)
_ATTEMPTS: Final = 3

type Answer = Callable[[Sequence[bytes]], list[str | None]]
"""Photos' bytes to labels; None for what is no photo."""


@dataclass(frozen=True, kw_only=True)
class Tested:
    """What was tested, and how it did."""

    what: str
    found: Acceptance
    claim: Claim | None
    """What the version's own test says; None where nobody knows."""
    learned: int | None
    """Photos that the version learned from, which were left out; None where nobody can tell."""
    skipped: Sequence[tuple[str, str]]


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What answers photos, and what is known of it."""

    what: str
    labels: Sequence[str]
    answer: Answer
    claim: Claim | None
    known: frozenset[str] | None


def answer_folder(
    folder: Path, subject: Subject, *, index: Index | None, progress: Callable[[int, int], None]
) -> Tested:
    """Answer every photo of `folder`, with one subfolder a class, or as `index` says.

    Subfolders of a class folder are a group. Raises training's `DatasetRefused`.
    """
    from registry.encoding import sha256_hex
    from training.dataset.sources import FolderSource
    from training.dataset.sources.source import Passed, Unreadable
    from training.errors import DatasetRefused
    from training.evaluation.acceptance import Answered, measure

    source = FolderSource(folder)
    total, done, learned = source.count() or 0, 0, 0
    answered: list[Answered] = []
    skipped: list[tuple[str, str]] = []
    for some in batched(source, _AT_ONCE, strict=False):
        taken: list[tuple[str, Row, bytes]] = []
        for found in some:
            row = found.reason if isinstance(found, Passed) else _row(found.key, index)
            try:
                if isinstance(found, Passed) or isinstance(row, str):
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
            if subject.known is not None and sha256_hex(data) in subject.known:
                learned += 1
            else:
                taken.append((found.key, row, data))
        labels = subject.answer([data for _, _, data in taken])
        for (key, row, _), label in zip(taken, labels, strict=True):
            if label is None:
                skipped.append((key, "no photo that can be read"))
            else:
                answered.append(Answered(key=key, truth=row.label, answer=label, groups=_groups(row)))
        done += len(some)
        progress(done, total)
    if not answered:
        first = f": {skipped[0][0]}, {skipped[0][1]}" if skipped else ""
        raise DatasetRefused(
            f"no photo in {folder} is left to test on ({learned} that it learned from, {len(skipped)} skipped{first}); "
            "give a folder with one subfolder of photos for each class"
        )
    return Tested(
        what=subject.what,
        found=measure(answered),
        claim=subject.claim,
        learned=None if subject.known is None else learned,
        skipped=skipped,
    )


def of_version(target: Target, number: int, directory: Path) -> Subject:
    """A version of the registry, answering as it will when served; raises the registry's errors."""
    from registry.catalog import Catalog
    from registry.decision import DECISION_FILE, Decision
    from training.evaluation.acceptance import Claim
    from training.evaluation.assess import decided
    from training.evaluation.lessons import Lessons, Unknown
    from training.export import ExportedModel

    # Photos of the data lake are for the publisher to read, and what a version learned from is written there.
    catalog = Catalog(target.store(target.outputs.model_store, role=Role.PUBLISHER), target.outputs.model)
    version = catalog.version(number)
    files = catalog.fetch(version, directory)
    model = ExportedModel(files["model.onnx"])
    rule = Decision.from_json(files[DECISION_FILE].read_bytes(), model.labels) if DECISION_FILE in files else None
    known = Lessons(catalog, target.store(target.outputs.data_lake, role=Role.PUBLISHER)).of_version(version)

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
        claim=Claim.of(version.metrics),
        known=None if isinstance(known, Unknown) else known,
    )


def of_endpoint(url: str) -> Subject:
    """An endpoint by its URL, with the key in `PETPARK_API_KEY` if there is one; raises `EndpointUnfit`."""
    key = os.environ.get(KEY)
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
    return Subject(
        what=f"version {served.get('version')} at {url}",
        labels=[str(label) for label in labels],  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
        answer=answer,
        claim=None,
        known=None,
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
    """What a file shows and its groups; else why it is passed over, empty if it is not ours to judge."""
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
