"""Whether a job can be done at all, held the same way before it is stored and on the instance that runs it."""

from registry.object_store import ObjectStore
from training.dataset.leakage import refuse_leaks
from training.dataset.manifest import Manifest, load_manifest
from training.dataset.quality import refuse_unfit
from training.dataset.quality.stored import refuse_doubtful
from training.job import JobSpec, written


def admit(spec: JobSpec, lake: ObjectStore) -> Manifest:
    """Give the dataset of a job that can be trained on it as asked; no photo is read.

    Raises SpecMalformed, DatasetMissing, ManifestMalformed, DatasetRefused, SplitsLeak.
    """
    written(spec)
    manifest = load_manifest(lake, spec.dataset)
    refuse_unfit(manifest)
    refuse_leaks(manifest)
    refuse_doubtful(lake, spec.dataset, spec.data_gates)
    spec.evaluation.checks.positive_class(manifest.labels)
    return manifest
