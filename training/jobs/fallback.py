"""A job without pretrained weights trains from scratch, and says so in its result, lineage and report.

Only where the weights are those of a package that is not installed, and nothing was submitted in their place. A package
that is there and broken is no reason to train something else: the job ends, with an error that names what to install.
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


def stand_in(
    job: str, spec: JobSpec, *, workspace: ObjectStore, catalog: Catalog, read: Read = read_packaged
) -> tuple[JobSpec, str | None]:
    """Returns the job as it can be done here, and why it differs from the request; None if it does not.

    The first machine decides, and anyone who resumes the job does the same. Raises WeightsRefused for a broken package,
    or where only fine-tuning or a study was requested; Interrupted where another machine began with the weights.
    """
    with suppress(ObjectMissing):
        return _from_scratch(spec), json.loads(workspace.get(fallback_key(job)))["reason"]
    packaged = None if spec.initial_weights is None else find_packaged(spec.initial_weights)
    if packaged is None or _is_elsewhere(job, spec, workspace, catalog) or read(packaged) is not None:
        return spec, None
    missing = f"package {packaged.package} {packaged.version}, which has the pretrained weights, is not installed here"
    if not spec.hyper_parameters.frozen or spec.study is not None:
        raise WeightsRefused(f"{missing}; install it, as requirements/training.txt has it")
    if next(iter(workspace.keys(checkpoints_prefix(job))), None) is not None:
        raise Interrupted(f"{missing}, and another machine began with them; resume where requirements/training.txt is")
    reason = f"trained from scratch by recipe {RECIPE}: {missing}"
    with suppress(ObjectExists):
        workspace.create(fallback_key(job), canonical({"reason": reason}))
    return _from_scratch(spec), reason


def _from_scratch(spec: JobSpec) -> JobSpec:
    return replace(spec, initial_weights=None, hyper_parameters=FOR_FEW_PHOTOS)


def _is_elsewhere(job: str, spec: JobSpec, workspace: ObjectStore, catalog: Catalog) -> bool:
    """Whether the weights were submitted, or a version has them."""
    key = study_weights_key(spec.study) if spec.study else initial_weights_key(job)
    if workspace.stat(key) is not None:
        return True
    return any(file.sha256 == spec.initial_weights for version in catalog.versions() for file in version.files)
