"""Whether a job can succeed: checked before it is stored, and again on the instance that runs it."""

from registry.store.object_store import ObjectStore
from training.dataset.fitness import refuse_unfit
from training.dataset.manifest import Manifest, load_manifest
from training.dataset.splits.leakage import refuse_leaks
from training.errors import SpecMalformed
from training.job import JobSpec, written
from training.quality.stored import refuse_doubtful


def admit(spec: JobSpec, lake: ObjectStore, *, weights_follow: bool = False) -> Manifest:
    """Returns the dataset of a job if the job can be trained on it; no photo is read.

    `weights_follow`: what its initial weights will be is not known yet, but there will be some.
    Raises SpecMalformed, DatasetMissing, ManifestMalformed, DatasetRefused, SplitsLeak.
    """
    written(spec)
    _refuse_baseless(spec, weights_follow=weights_follow)
    manifest = load_manifest(lake, spec.dataset)
    refuse_unfit(manifest)
    refuse_leaks(manifest)
    refuse_doubtful(lake, spec.dataset, spec.data_gates)
    spec.evaluation.checks.positive_class(manifest.labels)
    return manifest


def _refuse_baseless(spec: JobSpec, *, weights_follow: bool) -> None:
    """A linear layer alone needs a network that was trained, and one machine."""
    if not spec.hyper_parameters.frozen:
        return
    if spec.initial_weights is None and not weights_follow:
        raise SpecMalformed(
            "frozen=1 learns a linear layer on a network that stays as it is, and this job has no initial weights; "
            "give --weights imagenet or a version, or frozen=0"
        )
    if spec.instances > 1:
        raise SpecMalformed(f"frozen=1 trains on one instance, not on {spec.instances}; use one instance, or frozen=0")
