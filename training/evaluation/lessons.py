"""Which photos a version learned from: found by hash, for a test on them would say nothing about it."""

from dataclasses import dataclass

from registry.catalog import Catalog
from registry.object_store import ObjectStore
from registry.version import Version
from training.dataset.manifest import Manifest, Photo, load_manifest
from training.dataset.split import Split
from training.errors import DatasetMissing, ManifestMalformed, WeightsRefused


@dataclass(frozen=True, kw_only=True)
class Unknown:
    """What a version learned from cannot be told any more."""

    because: str


class Lessons:
    """Looks up in lineage and manifests what versions learned from, or were tuned on."""

    def __init__(self, catalog: Catalog, lake: ObjectStore) -> None:
        self._catalog = catalog
        self._lake = lake

    def of_version(self, version: Version) -> frozenset[str] | Unknown:
        """Give the hashes of photos in the training and validation splits of its dataset, and of those before it.

        Weights that a version began with are followed from version to version. Those that are no version's file
        (torchvision's, or somebody's own) are taken as having learned from none of our photos.
        """
        dataset, name = version.lineage.get("dataset"), f"version {version.number}"
        if dataset is None:
            return Unknown(because=f"what {name} learned from is not known: its lineage names no dataset")
        try:
            manifest = load_manifest(self._lake, dataset)
        except (DatasetMissing, ManifestMalformed) as error:
            return Unknown(because=f"what {name} learned from is not known: {error}")
        own = frozenset(photo.sha256 for photo in manifest.photos if photo.split is not Split.TEST)
        before = self.of_weights(version.lineage.get("initial_weights"))
        return before if isinstance(before, Unknown) else own | before

    def of_weights(self, sha256: str | None) -> frozenset[str] | Unknown:
        """The same for a file of weights; empty for none, and for one that no version has."""
        if sha256 is None:
            return frozenset()
        version = self.source(sha256)
        return frozenset() if version is None else self.of_version(version)

    def source(self, sha256: str) -> Version | None:
        """Give the newest version that has this file."""
        versions = reversed(self._catalog.versions())
        return next((each for each in versions if sha256 in {file.sha256 for file in each.files}), None)


def fair_test(manifest: Manifest, known: frozenset[str] | Unknown) -> tuple[Photo, ...]:
    """Give the test photos that initial weights never learned from; WeightsRefused if that empties a class."""
    remedy = "train without --weights, or ingest the photos upon the dataset of those weights (--base)"
    if isinstance(known, Unknown):
        raise WeightsRefused(f"the initial weights may have learned from the test photos: {known.because}; {remedy}")
    test = manifest.part(Split.TEST)
    fair = tuple(photo for photo in test if photo.sha256 not in known)
    tested = {photo.label for photo in fair}
    if without := [label for label in manifest.labels if label not in tested]:
        raise WeightsRefused(
            f"the initial weights learned from {len(test) - len(fair)} of {len(test)} test photos,"
            f" and none of {without[0]!r} is left to test on; {remedy}"
        )
    return fair
