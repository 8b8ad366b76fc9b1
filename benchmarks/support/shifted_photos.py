"""Embeddings of original and corrupted photos by a frozen EfficientNet-Lite0; computed once and cached in a file."""

import csv
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.support.accuracy.frozen import frozen
from imaging import decode, input_statistics, photo_size
from training.dataset.drawing import camera, scene
from training.dataset.drawing.animal import draw_animal
from training.dataset.generated import KINDS, SIZE
from training.evaluation.figures.corruptions import CORRUPTIONS
from training.networks.embedding import Embedder

NETWORK: Final = "efficientnet_lite0"
IMAGE_SIZE: Final = 224
LABELS: Final = ("cat", "dog")
_CHUNK: Final = 50
_VERSION: Final = 1  # of the cache; must change with the computation

type Numbers = npt.NDArray[Any]
type Shift = tuple[str, int]
"""A corruption and its severity."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What is known of N photos."""

    embedding: Numbers  # float32 [N, 1280]
    statistics: Numbers  # float32 [N, 6], in the order of `imaging.INPUT_STATISTICS`

    def take(self, places: Numbers) -> "Seen":
        """Returns some of them."""
        return Seen(embedding=self.embedding[places], statistics=self.statistics[places])

    def with_others(self, other: "Seen") -> "Seen":
        """Returns these, then others."""
        return Seen(
            embedding=np.concatenate([self.embedding, other.embedding]),
            statistics=np.concatenate([self.statistics, other.statistics]),
        )


@dataclass(frozen=True, kw_only=True)
class ShiftedPhotos:
    """Photos as they are, and the same corrupted. Row i of everything is photo i."""

    name: str
    clean: Seen
    truth: Numbers  # int64 [N]
    groups: Numbers  # str [N]: cameras, or breeds
    worse: Mapping[Shift, Seen]  # of the photos at `places`
    places: Numbers  # int64: those that were corrupted


def generated_photos(count: int, *, cameras: int, seed: int) -> list[tuple[bytes, int, str]]:
    """Draw photos of petpark's generator, each of one of some cameras: a camera always sees the same place."""
    places = [scene.draw_background(np.random.default_rng([seed, 10**6 + number]), SIZE) for number in range(cameras)]
    drawn: list[tuple[bytes, int, str]] = []
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        kind, place = number % 2, number // 2 % cameras
        view = scene.place(rng, places[place].copy(), draw_animal(rng, KINDS[kind], SIZE))
        drawn.append((camera.take(rng, view), kind, f"camera {place + 1}"))
    return drawn


def real_photos(folder: Path) -> list[tuple[bytes, int, str]]:
    """Read a folder with photos.csv: columns file, label, breed."""
    with (folder / "photos.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [((folder / row["file"]).read_bytes(), LABELS.index(row["label"]), row["breed"]) for row in rows]


def look(
    name: str,
    photos: Sequence[tuple[bytes, int, str]],
    *,
    corrupted: int,
    severities: Sequence[int],
    cache: Path,
    say: Callable[[str], None],
) -> ShiftedPhotos:
    """Embed photos and `corrupted` of them in every corruption and severity; from `cache` what it has."""
    digest = hashlib.sha256(b"".join(hashlib.sha256(photo).digest() for photo, _, _ in photos)).hexdigest()
    places = np.sort(np.random.default_rng(1).permutation(len(photos))[:corrupted])
    embedder: Embedder | None = None

    def seen(part: str, chosen: Sequence[int], corrupt: Callable[[Numbers, int], Numbers]) -> Seen:
        nonlocal embedder
        path = cache / f"{name}-{part}-{len(chosen)}.npz"
        if kept := _load(path, digest):
            return kept
        say(f"{name}: {part}, {len(chosen)} photos")
        embedder = embedder or Embedder(frozen(NETWORK, len(LABELS)), IMAGE_SIZE, torch.device("cpu"))
        embeddings: list[Numbers] = []
        rows: list[tuple[float, ...]] = []
        for begin in range(0, len(chosen), _CHUNK):
            some = chosen[begin : begin + _CHUNK]
            pixels = np.stack([corrupt(decode(photos[place][0], IMAGE_SIZE), place) for place in some])
            embeddings.append(embedder.embed(torch.from_numpy(pixels)).numpy())
            for place, each in zip(some, pixels, strict=True):
                width, height = photo_size(photos[place][0])
                rows.append(input_statistics(each, width=width, height=height).as_row())
        found = Seen(
            embedding=np.concatenate(embeddings).astype(np.float32), statistics=np.array(rows, dtype=np.float32)
        )
        _save(path, found, digest)
        return found

    clean = seen("clean", range(len(photos)), lambda pixels, _: pixels)
    worse = {
        (kind, level): seen(
            f"{kind.replace(' ', '-')}-{level}",
            places.tolist(),
            lambda pixels, place, corrupt=corrupt, level=level: corrupt(pixels, level, place),
        )
        for level in severities
        for kind, corrupt in CORRUPTIONS.items()
    }
    return ShiftedPhotos(
        name=name,
        clean=clean,
        truth=np.array([label for _, label, _ in photos]),
        groups=np.array([group for _, _, group in photos]),
        worse=worse,
        places=places,
    )


def _load(path: Path, digest: str) -> Seen | None:
    """Returns what an earlier run saw of the same photos; None if there is nothing."""
    if not path.exists():
        return None
    with np.load(path, allow_pickle=False) as kept:
        if str(kept["digest"]) != f"{digest} {_VERSION}":
            return None
        return Seen(embedding=kept["embedding"].astype(np.float32), statistics=kept["statistics"])


def _save(path: Path, seen: Seen, digest: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part_file = path.with_suffix(".part.npz")
    np.savez(
        part_file,
        embedding=seen.embedding.astype(np.float16),
        statistics=seen.statistics,
        digest=f"{digest} {_VERSION}",
    )
    part_file.replace(path)
