"""The weights that a training starts from: where they are, and whether the network can start from them at all.

Nobody unpickles a file here: the architecture is known from the job that made a version, or by the name and hash
under which torchvision publishes them.
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
    """What a job's spec says about its initial weights, and the file submitted with it."""

    sha256: str
    file: Path | None
    """None: they are a version's, in the model store, or in a package that training instances have from their lock."""


@contextmanager
def initial(target: Target, named: str, architecture: str, *, tell: Callable[[str], None]) -> Generator[Weights]:
    """Returns the weights that `named` names (a version, a file, or `imagenet`), for a network to start from.

    A file that had to be fetched is there until the end of the block. `tell` hears what cannot be known here.
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
        _refuse_another(named, architecture, _published_for(path.name, sha256), tell, packaged=packaged)
        yield Weights(sha256=sha256, file=path)
    elif model_versions.names_a_version(named):
        version = model_versions.version(target, model_versions.resolve(target, named))
        sha256 = submission.weights_of(version)
        _refuse_another(version.title, architecture, _trained(target, version), tell)
        yield Weights(sha256=sha256, file=None)
    else:
        raise WeightsMissing(f"{named} is neither a version nor a file.", next_step="petpark models list")


def _refuse_another(
    what: str, architecture: str, found: str | None, tell: Callable[[str], None], *, packaged: bool = False
) -> None:
    """`WeightsOfAnother` if the instance would refuse them, after it was paid for."""
    from training.networks.weights_fit import fits

    if found is None:
        tell(f"It is unknown here which network {what} belongs to: the instance refuses weights that do not fit.")
    elif not fits(architecture, weights_of=found, packaged=packaged):
        raise WeightsOfAnother(
            f"{what} has weights of {found}; the job trains {architecture}, which cannot start from them.",
            next_step=f"--set architecture={found}, or weights of {architecture}. Nothing was stored or launched.",
        )


def _published_for(name: str, sha256: str) -> str | None:
    """The network whose published or packaged file this is.

    Torchvision's are known by their name, whose end is the beginning of the hash; those of a package by the hash.
    """
    from training.networks.pretrained import PACKAGED, PUBLISHED

    if packaged := next((network for network, known in PACKAGED.items() if known.sha256 == sha256), None):
        return packaged
    known = {address.rpartition("/")[2]: architecture for architecture, address in PUBLISHED.items()}
    promised = Path(name).stem.rpartition("-")[2]
    return known.get(name) if sha256.startswith(promised) else None


def _trained(target: Target, version: Version) -> str | None:
    """The network that the job trained whose version it is, if that job can still be read."""
    from training.errors import TrainingError

    run = version.lineage.get("run")
    try:
        return submission.load_spec(target, run).hyper_parameters.architecture if run else None
    except TrainingError:
        return None
