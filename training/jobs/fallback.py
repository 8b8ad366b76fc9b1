"""Train from scratch if the package with the pretrained weights is not installed.

The reason is in the job's result, lineage and report. If the package is installed but damaged, the job fails instead,
with an error that names what to install.
"""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from registry.encoding import canonical
from registry.errors import ObjectExists, ObjectMissing
from registry.layout.jobs import checkpoints_prefix, fallback_key
from registry.layout.workspace import study_weights_key
from registry.store.object_store import ObjectStore
from registry.versions.catalog import Catalog
from training.errors import Interrupted, WeightsRefused
from training.hyper_parameters import FOR_FEW_PHOTOS
from training.job import JobSpec, initial_weights_key
from training.networks.pretrained import PackagedWeights, find_packaged, read_packaged

RECIPE = "few-photos"

type Read = Callable[[PackagedWeights], bytes | None]


def apply_fallback(
    job: str, spec: JobSpec, *, workspace: ObjectStore, catalog: Catalog, read: Read = read_packaged
) -> tuple[JobSpec, str | None]:
    """Returns the spec to run here, and why it differs from the request; None if it does not.

    The first instance decides, and its decision is stored for those that resume the job. Raises WeightsRefused for a
    damaged package, or if the job fine-tunes or is a trial; Interrupted if another instance started with the weights.
    """
    with suppress(ObjectMissing):
        return _from_scratch(spec), json.loads(workspace.get(fallback_key(job)))["reason"]
    packaged = None if spec.initial_weights is None else find_packaged(spec.initial_weights)
    if packaged is None or _is_elsewhere(job, spec, workspace, catalog) or read(packaged) is not None:
        return spec, None
    missing = f"package {packaged.package} {packaged.version}, which has the pretrained weights, is not installed here"
    if not spec.hyper_parameters.frozen or spec.study is not None:
        raise WeightsRefused(f"{missing}; install it as pinned in requirements/training.txt")
    if next(iter(workspace.keys(checkpoints_prefix(job))), None) is not None:
        raise Interrupted(
            f"{missing}, but another instance started with them; resume where requirements/training.txt is installed"
        )
    reason = f"trained from scratch by recipe {RECIPE}: {missing}"
    with suppress(ObjectExists):
        workspace.create(fallback_key(job), canonical({"reason": reason}))
    return _from_scratch(spec), reason


def _from_scratch(spec: JobSpec) -> JobSpec:
    return replace(spec, initial_weights=None, hyper_parameters=FOR_FEW_PHOTOS)


def _is_elsewhere(job: str, spec: JobSpec, workspace: ObjectStore, catalog: Catalog) -> bool:
    """Whether the weights were submitted with the job, or belong to a version."""
    key = study_weights_key(spec.study) if spec.study else initial_weights_key(job)
    if workspace.stat(key) is not None:
        return True
    return any(file.sha256 == spec.initial_weights for version in catalog.versions() for file in version.files)
