"""The subject of an acceptance test: a version of the registry, or a running endpoint."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Final

import httpx
from botocore.exceptions import BotoCoreError, ClientError

from petpark.errors import EndpointUnfit, OperatorError
from petpark.targets.target import Target
from registry.errors import DigestMismatch, RegistryError
from registry.layout.roles import Role

if TYPE_CHECKING:
    from registry.version import Version
    from registry.versions.catalog import Catalog
    from training.evaluation.acceptance import Claim
    from training.evaluation.baseline.seen_photos import LearnedPhotos

KEY: Final = "PETPARK_API_KEY"
"""Environment variable with the API key for an endpoint that requires one."""

_CALLS: Final = 4
_TIMEOUT: Final = httpx.Timeout(30.0, connect=5.0)
_ATTEMPTS: Final = 3

type Answer = Callable[[Sequence[bytes]], list[str | None]]
"""Photos' bytes to labels; None for bytes that are not a photo."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What classifies photos, and what is known about it."""

    what: str
    labels: Sequence[str]
    answer: Answer
    claim: Claim | None
    known: LearnedPhotos | None
    unknown: str = ""
    """Why claim or known photos are None."""


def of_version(target: Target, number: int, directory: Path) -> Subject:
    """Returns a version of the registry, with the predictions it makes when served. Raises the registry's errors."""
    from registry.versions.catalog import Catalog
    from registry.versions.decision import DECISION_FILE, Decision
    from training.evaluation.assess import decided
    from training.networks.export import ExportedModel

    # Only the publisher may read the data lake, which has the version's training photos.
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
            pixels_of_photos = [decoded[place] for place in places]
            scores = model.classify(np.stack(pixels_of_photos))  # pyright: ignore[reportArgumentType, reportCallIssue]
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
    """Facts about a version from registry and data lake."""

    claim: Claim | None = None
    known: LearnedPhotos | None = None
    unknown: str = ""


def _facts(target: Target, catalog: Catalog, version: Version) -> _Facts:
    from training.evaluation.acceptance import Claim
    from training.evaluation.baseline.seen_photos import SeenPhotos, Unknown

    claim = Claim.of(version.metrics)
    found = SeenPhotos(catalog, target.store(target.outputs.data_lake, role=Role.PUBLISHER)).of_version(version)
    reasons = [
        *([] if claim else [f"version {version.number} has no test metrics"]),
        *([found.because] if isinstance(found, Unknown) else []),
    ]
    return _Facts(claim=claim, known=None if isinstance(found, Unknown) else found, unknown="; ".join(reasons))


def _looked_up(open_target: Callable[[], Target], number: object, digest: object) -> _Facts:
    """The facts about an endpoint's version. Empty, with the reason, if they cannot be looked up."""
    from registry.versions.catalog import Catalog

    if not isinstance(number, int) or not isinstance(digest, str):
        return _Facts(unknown="the endpoint does not report its version")
    try:
        target = open_target()
        catalog = Catalog(target.store(target.outputs.model_store, role=Role.PUBLISHER), target.outputs.model)
        return _facts(target, catalog, catalog.version(number, digest=digest))
    except DigestMismatch:
        return _Facts(unknown=f"version {number} of this registry is not the version that the endpoint serves")
    except (RegistryError, OperatorError, BotoCoreError, ClientError) as error:
        sentence = error.message if isinstance(error, OperatorError) else str(error)
        return _Facts(unknown=f"the registry cannot be read: {sentence}")


def of_endpoint(url: str, open_target: Callable[[], Target], *, key: str | None = None) -> Subject:
    """Returns the endpoint at `url`, with `key` or else `PETPARK_API_KEY`, if set. Raises `EndpointUnfit`.

    `open_target` returns the stack whose registry has the served version. If it fails, the endpoint is tested without
    it.
    """
    key = key or os.environ.get(KEY)
    client = httpx.Client(
        base_url=url,
        timeout=_TIMEOUT,
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
        raise EndpointUnfit(f"{url}{path} does not respond: {last}", next_step="petpark endpoints status")

    def answer_one(photo: bytes) -> str | None:
        response = ask("POST", "/v1/classify", content=photo, headers={"content-type": photo_type(photo)})
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


def photo_type(photo: bytes) -> str:
    """Returns the media type of a photo. Other bytes are sent as JPEG, and the endpoint refuses them.

    https://www.iana.org/assignments/media-types/media-types.xhtml#image
    """
    if photo.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    return "image/webp" if photo[:4] == b"RIFF" and photo[8:12] == b"WEBP" else "image/jpeg"


def _read(response: httpx.Response, url: str) -> Mapping[str, object]:
    try:
        body = response.json()
    except ValueError:
        body = None
    if not response.is_success or not isinstance(body, dict):
        hint = f"Set {KEY} to a key: petpark keys create" if response.status_code == HTTPStatus.UNAUTHORIZED else ""
        raise EndpointUnfit(
            f"{url} returned {response.status_code}: {response.text[:200]}",
            next_step=hint or "Pass the URL of an endpoint: petpark endpoints status",
        )
    return body  # pyright: ignore[reportUnknownVariableType]
