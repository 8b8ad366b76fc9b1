"""Check that a job can succeed, before it is stored and again on its instance."""

from registry.store.object_store import ObjectStore
from training.dataset.fitness import refuse_unfit
from training.dataset.manifest import Manifest, load_manifest
from training.dataset.splits.leakage import refuse_leaks
from training.errors import SpecMalformed
from training.job import JobSpec, written
from training.quality.stored import refuse_doubtful


def admit(spec: JobSpec, lake: ObjectStore, *, weights_follow: bool = False) -> Manifest:
    """Returns the manifest of a job's dataset, if the job can be trained on it. Reads no photos.

    `weights_follow`: the job will have initial weights that are not in the spec yet.
    Raises SpecMalformed, DatasetMissing, ManifestMalformed, DatasetRefused, SplitsLeak.
    """
    written(spec)
    _check_frozen(spec, weights_follow=weights_follow)
    manifest = load_manifest(lake, spec.dataset)
    refuse_unfit(manifest)
    refuse_leaks(manifest)
    refuse_doubtful(lake, spec.dataset, spec.data_gates)
    spec.evaluation.checks.positive_class(manifest.labels)
    return manifest


def _check_frozen(spec: JobSpec, *, weights_follow: bool) -> None:
    """Raise SpecMalformed if a frozen network has no initial weights, or several instances."""
    if not spec.hyper_parameters.frozen:
        return
    if spec.initial_weights is None and not weights_follow:
        raise SpecMalformed(
            "frozen=1 trains a linear layer on a pretrained network, but this job has no initial weights; "
            "add --weights imagenet or a version, or set frozen=0"
        )
    if spec.instances > 1:
        raise SpecMalformed(f"frozen=1 trains on one instance, not on {spec.instances}; use one instance, or frozen=0")
