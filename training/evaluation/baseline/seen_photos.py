"""Which photos a version learned from, in these or other bytes: a test on them would be meaningless."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from imaging import PhotoError
from registry.errors import ObjectMissing
from registry.layout.data_lake import photo_key
from registry.store.object_store import ObjectStore
from registry.version import Version
from registry.versions.catalog import Catalog
from training.dataset.manifest import Manifest, Photo, Split, load_manifest
from training.errors import DatasetMissing, ManifestMalformed, WeightsRefused
from training.evaluation.baseline.copies import Grid, PhotoAppearance, find_copies, grid


@dataclass(frozen=True, kw_only=True)
class Unknown:
    """What a version learned from cannot be found out any more."""

    because: str


class TestPhoto(PhotoAppearance, Protocol):
    """A photo to be tested on."""

    @property
    def sha256(self) -> str:
        """Of its bytes."""
        ...


@dataclass(frozen=True, kw_only=True)
class Overlap:
    """A photo to be tested on is one that was learned from."""

    key: str
    """Of the photo that was learned from."""
    copy: bool
    """Whether it has other bytes."""

    @property
    def reason(self) -> str:
        """For people."""
        return f"{'a copy, in other bytes, of' if self.copy else 'the same bytes as'} {self.key}"


class LearnedPhotos:
    """Photos that a version learned from, or was tuned on."""

    def __init__(self, photos: Iterable[Photo], lake: ObjectStore) -> None:
        """`lake` has their bytes, of which few are read."""
        self._photos = {photo.sha256: photo for photo in photos}
        self._lake = lake

    def __or__(self, other: "LearnedPhotos") -> "LearnedPhotos":
        """Both."""
        return LearnedPhotos([*self._photos.values(), *other._photos.values()], self._lake)

    def __len__(self) -> int:
        """Count them."""
        return len(self._photos)

    def __contains__(self, sha256: str) -> bool:
        """Whether it learned from a photo of these bytes."""
        return sha256 in self._photos

    def overlap(self, sha256: str) -> Overlap | None:
        """Look for a photo of these bytes."""
        photo = self._photos.get(sha256)
        return photo and Overlap(key=photo.key, copy=False)

    def overlaps(self, photos: Sequence[TestPhoto], picture: Callable[[int], Grid]) -> list[Overlap | None]:
        """Returns for each of `photos` what it was learned from as; None if it was not.

        `picture` gives one's small picture (`copies.grid`) by place. Raises registry errors.
        """
        known = list(self._photos.values())
        pictures: dict[int, Grid | None] = {}

        def picture_of_known(place: int) -> Grid | None:
            if place not in pictures:
                try:
                    pictures[place] = grid(self._lake.get(photo_key(known[place].sha256)))
                except (ObjectMissing, PhotoError):  # it cannot be read any more
                    pictures[place] = None
            return pictures[place]

        other = [place for place, photo in enumerate(photos) if photo.sha256 not in self]
        copies = find_copies(
            [photos[place] for place in other],
            known,
            grid=lambda place: picture(other[place]),
            grid_of_known=picture_of_known,
        )
        found = [self.overlap(photo.sha256) for photo in photos]
        for place, copy in zip(other, copies, strict=True):
            found[place] = None if copy is None else Overlap(key=known[copy].key, copy=True)
        return found


class SeenPhotos:
    """Looks up in lineage and manifests what versions learned from, or were tuned on."""

    def __init__(self, catalog: Catalog, lake: ObjectStore) -> None:
        self._catalog = catalog
        self._lake = lake

    def of_version(self, version: Version) -> LearnedPhotos | Unknown:
        """Returns the photos in the training and validation splits of its dataset, and of those before it.

        Weights that a version began with are followed from version to version. Those that are no version's file
        (torchvision's, or your own) are taken as having learned from none of our photos.
        """
        learned, followed = LearnedPhotos((), self._lake), set[str]()
        before: Version | None = version
        while before is not None and before.digest not in followed:
            followed.add(before.digest)
            dataset, name = before.lineage.get("dataset"), f"version {before.number}"
            if dataset is None:
                return Unknown(because=f"what {name} learned from is not known: its lineage names no dataset")
            try:
                manifest = load_manifest(self._lake, dataset)
            except (DatasetMissing, ManifestMalformed) as error:
                return Unknown(because=f"what {name} learned from is not known: {error}")
            learned |= LearnedPhotos((photo for photo in manifest.photos if photo.split is not Split.TEST), self._lake)
            before = self.source(before.lineage.get("initial_weights"))
        return learned

    def of_weights(self, sha256: str | None) -> LearnedPhotos | Unknown:
        """The same for a file of weights; nothing for none, and for one that no version has."""
        version = self.source(sha256)
        return LearnedPhotos((), self._lake) if version is None else self.of_version(version)

    def source(self, sha256: str | None) -> Version | None:
        """Returns the newest version that has this file; damaged ones are skipped."""
        if sha256 is None:
            return None
        versions = reversed(self._catalog.readable())
        return next((each for each in versions if sha256 in {file.sha256 for file in each.files}), None)


def fair_test(
    manifest: Manifest, known: LearnedPhotos | Unknown, picture: Callable[[Photo], Grid]
) -> tuple[Photo, ...]:
    """Returns the test photos that initial weights never learned from; WeightsRefused if that empties a class.

    `picture` gives the small picture of a photo (`copies.grid`).
    """
    remedy = "train without --weights, or ingest the photos upon the dataset of those weights (--base)"
    if isinstance(known, Unknown):
        raise WeightsRefused(f"the initial weights may have learned from the test photos: {known.because}; {remedy}")
    test = manifest.part(Split.TEST)
    overlaps = known.overlaps(test, lambda place: picture(test[place]))
    fair = tuple(photo for photo, overlap in zip(test, overlaps, strict=True) if overlap is None)
    tested = {photo.label for photo in fair}
    if without := [label for label in manifest.labels if label not in tested]:
        copies = sum(overlap is not None and overlap.copy for overlap in overlaps)
        raise WeightsRefused(
            f"the initial weights learned from {len(test) - len(fair)} of {len(test)} test photos"
            f"{f' ({copies} as copies in other bytes)' if copies else ''}, and none of {without[0]!r} is left to test "
            f"on; {remedy}"
        )
    return fair
