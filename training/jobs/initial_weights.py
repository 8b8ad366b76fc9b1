"""Initial weights of a job: submitted with it, from an installed package, or from an earlier version."""

import hashlib
from collections.abc import Mapping

from torch import Tensor

from registry.errors import ObjectMissing
from registry.layout.workspace import study_weights_key
from training.errors import WeightsRefused
from training.job import initial_weights_key
from training.jobs.context import JobContext
from training.networks.model import read_weights
from training.networks.pretrained import read_packaged


def load_initial_weights(context: JobContext) -> Mapping[str, Tensor] | None:
    """Returns the weights by parameter name; None if the job starts from random ones. Raises `WeightsRefused`."""
    sha256, study = context.spec.initial_weights, context.spec.study
    if sha256 is None:
        return None
    try:
        data = context.workspace.get(study_weights_key(study) if study else initial_weights_key(context.job))
    except ObjectMissing:
        packaged = context.packaged_weights
        data = (read_packaged(packaged) if packaged else None) or _published_file(context, sha256)
    if hashlib.sha256(data).hexdigest() != sha256:
        raise WeightsRefused("the initial weights do not match the hash in the job's spec; submit the job again")
    return read_weights(data)


def _published_file(context: JobContext, sha256: str) -> bytes:
    for version in reversed(context.catalog.readable()):
        for file in version.files:
            if file.sha256 == sha256:
                return context.catalog.fetch(version, context.directory / "initial")[file.name].read_bytes()
    raise WeightsRefused(f"no weights {sha256}: neither submitted with the job nor a file of a published version")
