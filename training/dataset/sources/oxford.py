"""The Oxford-IIIT Pet photos: some 7,350 of 37 breeds of cats and dogs, as torchvision downloads and checks them.

https://docs.pytorch.org/vision/stable/generated/torchvision.datasets.OxfordIIITPet.html
"""

import contextlib
import io
import shutil
import socket
import tarfile
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self, cast

from training.dataset.sources.folder import Read
from training.dataset.sources.source import Candidate, SkippedFile
from training.errors import PhotosUnreachable

if TYPE_CHECKING:
    from torchvision.datasets import OxfordIIITPet

OXFORD_PETS: Final = "oxford-iiit-pet"
OXFORD_BREEDS: Final = "oxford-iiit-pet/breeds"

OXFORD_TERMS: Final = (
    "photos of the Oxford-IIIT Pet Dataset, https://www.robots.ox.ac.uk/~vgg/data/pets/, by O. M. Parkhi, A. Vedaldi, "
    "A. Zisserman and C. V. Jawahar (Cats and Dogs, CVPR 2012), under CC BY-SA 4.0, "
    "https://creativecommons.org/licenses/by-sa/4.0/; the copyright remains with the photos' owners"
)
"""Attribution that redistribution requires."""

_SILENCE_SECONDS: Final = 30.0
_UNPACKED: Final = ("images", "annotations")


@dataclass(frozen=True)
class OxfordPetsSource:
    """Photos by class, cat and dog or the breeds, with a key such as `cat/Abyssinian_1.jpg`."""

    photos: tuple[tuple[str, Path], ...]

    @classmethod
    def fetch(cls, directory: Path, *, by_breed: bool = False, silence_seconds: float = _SILENCE_SECONDS) -> Self:
        """Download what `directory` lacks, two archives of 800 MB together, and unpack it there: another 800 MB.

        Raises PhotosUnreachable: no way there, silence for too long, or bytes that torchvision does not expect.
        """
        from torchvision.datasets import OxfordIIITPet  # here, for it takes seconds, and its terms are requested often

        folder = directory / OXFORD_PETS
        for name in _UNPACKED:  # torchvision takes a folder for the whole of it, however unpacking ended
            shutil.rmtree(folder / name, ignore_errors=True)
        try:
            with _giving_up_after(silence_seconds), contextlib.redirect_stderr(io.StringIO()):  # its progress bars
                sets = [OxfordIIITPet(directory, split, _target(by_breed), download=True) for split in _SPLITS]
        except (OSError, EOFError, RuntimeError, tarfile.TarError) as error:
            raise PhotosUnreachable(_advice(OxfordIIITPet, folder, error)) from error
        return cls(tuple(sorted(entry for each in sets for entry in _entries(each, by_breed))))

    def count(self) -> int | None:
        """See Source."""
        return len(self.photos)

    def __iter__(self) -> Iterator[Candidate | SkippedFile]:
        """See Source."""
        return (Candidate(key=key, read=Read(path)) for key, path in self.photos)


_SPLITS: Final = ("trainval", "test")
"""Both: petpark makes its own splits."""


def _target(by_breed: bool) -> str:
    return "category" if by_breed else "binary-category"


def _entries(found: "OxfordIIITPet", by_breed: bool) -> Iterator[tuple[str, Path]]:
    inside = cast("Any", found)  # torchvision returns decoded photos only, without their paths
    names, labels = (inside.classes, inside._labels) if by_breed else (inside.bin_classes, inside._bin_labels)
    for path, label in zip(inside._images, labels, strict=True):
        yield f"{names[label].lower().replace(' ', '-')}/{path.name}", path


@contextlib.contextmanager
def _giving_up_after(seconds: float) -> Generator[None]:
    """The download has no timeout; sockets opened during it get this one."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _advice(kind: type["OxfordIIITPet"], folder: Path, error: Exception) -> str:
    addresses = " and ".join(address for address, _ in cast("Any", kind)._RESOURCES)
    return (
        f"the Oxford-IIIT Pet photos could not be fetched: {error or type(error).__name__}. "
        f"Where they can be reached, fetch {addresses}; put both files into {folder} and run the same command again"
    )
