"""Initial weights of a training: find them, and check that they fit the network.

Files are not unpickled here: the architecture is known from the job that trained the version, or from the name and
hash under which torchvision publishes the file.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from petpark.errors import WeightsMissing, WeightsOfAnother
from petpark.jobs import submission
from petpark.jobs.pretrained import fetch_pretrained
from petpark.models import model_versions
from petpark.targets.target import Target
from registry.store.local_files import sha256_of

if TYPE_CHECKING:
    from registry.version import Version

IMAGENET: Final = "imagenet"


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Initial weights: their hash for the job's spec, and the file to submit with it."""

    sha256: str
    file: Path | None
    """None if they belong to a version in the model store, or to a package installed on training instances."""


@contextmanager
def initial(target: Target, named: str, architecture: str, *, warn: Callable[[str], None]) -> Generator[Weights]:
    """Yield the initial weights that `named` refers to: a version, a file, or `imagenet`.

    A downloaded file is deleted at the end of the block. `warn` is called if the network of the weights is unknown.
    Raises `WeightsMissing`, `WeightsOfAnother`, and what `petpark.models.model_versions.resolve` raises.
    """
    from training.networks.pretrained import PACKAGED

    path = Path(named)
    if named == IMAGENET and (packaged := PACKAGED.get(architecture)):
        yield Weights(sha256=packaged.sha256, file=None)
    elif named == IMAGENET:
        with tempfile.TemporaryDirectory() as directory:
            file = fetch_pretrained(architecture, Path(directory))
            yield Weights(sha256=sha256_of(file), file=file)
    elif path.is_file():
        sha256 = sha256_of(path)
        packaged = any(known.sha256 == sha256 for known in PACKAGED.values())
        _check_fit(named, architecture, _published_for(path.name, sha256), warn, packaged=packaged)
        yield Weights(sha256=sha256, file=path)
    elif model_versions.names_a_version(named):
        version = model_versions.version(target, model_versions.resolve(target, named))
        sha256 = submission.weights_of(version)
        _check_fit(version.title, architecture, _trained(target, version), warn)
        yield Weights(sha256=sha256, file=None)
    else:
        raise WeightsMissing(f"{named} is neither a version nor a file.", next_step="petpark models list")


def _check_fit(
    what: str, architecture: str, found: str | None, warn: Callable[[str], None], *, packaged: bool = False
) -> None:
    """Raise `WeightsOfAnother` for weights that do not fit, before an instance is launched and paid for."""
    from training.networks.weights_fit import fits

    if found is None:
        warn(f"The network of {what} is unknown: the instance will refuse weights that do not fit {architecture}.")
    elif not fits(architecture, weights_of=found, packaged=packaged):
        raise WeightsOfAnother(
            f"{what} has weights of {found}; the job trains {architecture}, which cannot start from them.",
            next_step=f"--set architecture={found}, or weights of {architecture}. Nothing was stored or launched.",
        )


def _published_for(name: str, sha256: str) -> str | None:
    """Returns the network of a published or packaged file; None if unknown.

    The names of torchvision's files end with the start of the hash; packaged files are recognised by the whole hash.
    """
    from training.networks.pretrained import PACKAGED, PUBLISHED

    if packaged := next((network for network, known in PACKAGED.items() if known.sha256 == sha256), None):
        return packaged
    known = {url.rpartition("/")[2]: architecture for architecture, url in PUBLISHED.items()}
    hash_start = Path(name).stem.rpartition("-")[2]
    return known.get(name) if sha256.startswith(hash_start) else None


def _trained(target: Target, version: Version) -> str | None:
    """Returns the network of a version, from the job that trained it; None if its spec cannot be read."""
    from training.errors import TrainingError

    run = version.lineage.get("run")
    try:
        return submission.load_spec(target, run).hyper_parameters.architecture if run else None
    except TrainingError:
        return None
