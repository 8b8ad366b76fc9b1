"""Torchvision's pretrained weights, downloaded by the submitting client: instances need no internet access."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

import httpx

from petpark.errors import WeightsMissing

_TIMEOUT: Final = httpx.Timeout(30.0, connect=5.0)


def fetch_pretrained(architecture: str, directory: Path, *, client: httpx.Client | None = None) -> Path:
    """Download a network's ImageNet weights into `directory` and verify their hash. Returns the file's path.

    Raises `WeightsMissing` if there are none, the download fails, or the hash differs.
    """
    from training.networks.pretrained import PUBLISHED

    url = PUBLISHED.get(architecture)
    if url is None:
        raise WeightsMissing(
            f"Torchvision publishes no ImageNet weights for {architecture}.",
            next_step=f"--set architecture=… with one of: {', '.join(PUBLISHED)}",
        )
    path = directory / url.rpartition("/")[2]
    digest = hashlib.sha256()
    try:
        with (
            client or httpx.Client(timeout=_TIMEOUT, follow_redirects=True) as session,
            session.stream("GET", url) as response,
            path.open("wb") as file,
        ):
            response.raise_for_status()
            for chunk in response.iter_bytes():
                digest.update(chunk)
                file.write(chunk)
    except httpx.HTTPError as error:
        raise WeightsMissing(
            f"The ImageNet weights of {architecture} could not be downloaded: {error or type(error).__name__}.",
            next_step=f"Download {url} on a machine with internet access, then pass the file: --weights FILE.",
        ) from error
    if not digest.hexdigest().startswith(path.stem.rpartition("-")[2]):
        raise WeightsMissing(
            f"{url} does not match the hash in its name (sha256 {digest.hexdigest()}).",
            next_step="Try again. If it fails again, do not use these weights.",
        )
    return path
