"""Weights that torchvision publishes, downloaded where a job is submitted: instances need no internet access."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

import httpx

from petpark.errors import WeightsMissing

_TIMEOUT: Final = httpx.Timeout(30.0, connect=5.0)


def fetch_pretrained(architecture: str, directory: Path, *, client: httpx.Client | None = None) -> Path:
    """Download the ImageNet weights of a network into `directory`, and check them; `WeightsMissing`."""
    from training.networks.pretrained import PUBLISHED

    address = PUBLISHED.get(architecture)
    if address is None:
        raise WeightsMissing(
            f"There are no ImageNet weights for {architecture}.",
            next_step=f"--set architecture=… with one of: {', '.join(PUBLISHED)}",
        )
    path = directory / address.rpartition("/")[2]
    digest = hashlib.sha256()
    try:
        with (
            client or httpx.Client(timeout=_TIMEOUT, follow_redirects=True) as session,
            session.stream("GET", address) as answer,
            path.open("wb") as file,
        ):
            answer.raise_for_status()
            for part in answer.iter_bytes():
                digest.update(part)
                file.write(part)
    except httpx.HTTPError as error:
        raise WeightsMissing(
            f"The ImageNet weights of {architecture} could not be fetched: {error or type(error).__name__}.",
            next_step=f"Fetch {address} where it can be reached, then --weights FILE.",
        ) from error
    if not digest.hexdigest().startswith(path.stem.rpartition("-")[2]):
        raise WeightsMissing(
            f"{address} has other bytes than its name promises (sha256 {digest.hexdigest()}).",
            next_step="Try again; if that fails too, do not use these weights.",
        )
    return path
