"""What answers photos in an acceptance test: a version of the registry, or a running endpoint."""

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
from registry.layout import Role

if TYPE_CHECKING:
    from registry.version import Version
    from registry.versions.catalog import Catalog
    from training.evaluation.acceptance import Claim
    from training.evaluation.baseline.seen_photos import LearnedPhotos

KEY: Final = "PETPARK_API_KEY"
"""Environment variable with the API key for an endpoint that asks for one."""

_CALLS: Final = 4
_PATIENCE: Final = httpx.Timeout(30.0, connect=5.0)
_ATTEMPTS: Final = 3

type Answer = Callable[[Sequence[bytes]], list[str | None]]
"""Photos' bytes to labels; None for what is not a photo."""


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
