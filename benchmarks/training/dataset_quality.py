"""What the data quality report finds of faults that were put in on purpose: `make bench`, or this file.

- labels: a share of them is changed; how many of these the report doubts, and how many that it doubts were changed.
- leaks: copies of training photos go into the test split, mirrored, cropped, brightened, made small; which are found by
  embedding, which by perceptual hash, and which pairs are reported that nobody put in.
- strangers: pictures of nothing; whether they are like no others.

By default of the generated photos; `--photos DIR` takes others (a subfolder per class), `--flips 0` measures photos as
they are. Ends with 1 if of changed labels less than half is doubted, or pairs are reported that nobody put in.
"""

import argparse
import io
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import numpy as np
from PIL import Image, ImageEnhance, ImageOps
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[2]))

from registry.layout.data_lake import photo_key
from registry.store.memory_store import MemoryStore
from training.dataset import Manifest, Photo, Split, ingest
from training.dataset.duplicates.near_duplicates import Hashes
from training.dataset.generated import generate
from training.dataset.index import Row
from training.dataset.ingest import describe
from training.dataset.splits.leakage import find_leaks
from training.fitting.pixels import fetch
from training.plan import DataGates
from training.quality.characteristics.accuracy import SURE
from training.quality.embedding_networks import of_imagenet
from training.quality.examine import examine
from training.quality.findings import Finding
from training.quality.report import QualityReport

COPIES: Final = 12
"""Of each kind."""

STRANGERS: Final = 6


def cropped(image: Image.Image) -> Image.Image:
    """Without its edges."""
    width, height = image.size
    return image.crop((width // 20, height // 20, width - width // 20, height - height // 20))


KINDS: Final[dict[str, Callable[[Image.Image], Image.Image]]] = {
    "mirrored": ImageOps.mirror,
    "nine tenths of it": cropped,
    "a third brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.33),
    "at half the size": lambda image: image.resize((image.width // 2, image.height // 2)),
}


def main() -> int:
    """Insert faults, look for them, and print the findings."""
    arguments = _arguments()
    with tempfile.TemporaryDirectory() as directory:
        folder = arguments.photos or Path(directory)
        if arguments.photos is None:
            generate(folder, count=arguments.count, seed=arguments.seed)
        lake = MemoryStore()
        clean = ingest(folder, lake, seed=arguments.seed).manifest
    rng = np.random.default_rng(arguments.seed)
    flipped, manifest = flip(clean, arguments.flips, rng)
    copies = {} if arguments.no_copies else copy(lake, manifest, rng)
    extra = [*copies, *([] if arguments.no_copies else strangers(lake, rng, manifest.labels[0]))]
    manifest = Manifest.of([*manifest.photos, *extra])
    started, spent = time.monotonic(), time.process_time()
    network = None if arguments.small_networks else of_imagenet()
    report = examine(
        lake,
        manifest,
        skipped=None,
        gates=DataGates(),
        by="",
        at=datetime.now(UTC),
        network=network,
        seed=arguments.seed,
    )
    spent, seconds = time.process_time() - spent, time.monotonic() - started
    console = Console(highlight=False)
    console.print(f"{len(manifest.photos):,} photos, {seconds:.0f} s, {spent:.0f} s of processor time")
    good = show_labels(console, report, flipped, arguments.flips)
    return 0 if show_likeness(console, report, manifest, copies) and good else 1


def flip(manifest: Manifest, share: float, rng: np.random.Generator) -> tuple[set[str], Manifest]:
    """Change a share of the labels to another class; the hashes of those changed."""
    chosen = {
        manifest.photos[n].sha256 for n in rng.permutation(len(manifest.photos))[: round(share * len(manifest.photos))]
    }
    labels = manifest.labels

    def other(photo: Photo) -> Photo:
        return replace(photo, label=labels[(labels.index(photo.label) + 1) % len(labels)])

    return chosen, Manifest.of(other(photo) if photo.sha256 in chosen else photo for photo in manifest.photos)


def copy(lake: MemoryStore, manifest: Manifest, rng: np.random.Generator) -> dict[Photo, tuple[str, str]]:
    """Put changed copies of training photos into the test split; (kind, hash of the original) by copy."""
    originals = [manifest.part(Split.TRAIN)[n] for n in rng.permutation(len(manifest.part(Split.TRAIN)))]
    found: dict[Photo, tuple[str, str]] = {}
    for kind, change in KINDS.items():
        for number in range(COPIES):
            original = originals.pop()
            with Image.open(io.BytesIO(fetch(lake, original))) as image:
                copied = _store(lake, change(image.convert("RGB")), f"~copy/{kind} {number:02}", original.label)
            found[copied] = kind, original.sha256
    return found


def strangers(lake: MemoryStore, rng: np.random.Generator, label: str) -> list[Photo]:
    """Pictures of stripes, as a broken sensor makes them."""
    pictures = [np.repeat(rng.integers(0, 256, (160, 1, 3)), 160, axis=1).astype(np.uint8) for _ in range(STRANGERS)]
    return [_store(lake, Image.fromarray(each), f"~stripes/{n}", label) for n, each in enumerate(pictures)]


def _store(lake: MemoryStore, image: Image.Image, key: str, label: str) -> Photo:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=75)
    photo = describe(key, buffer.getvalue(), seed=0, row=Row(label=label, camera=None, captured_at=None))
    lake.create(photo_key(photo.sha256), buffer.getvalue())
    return replace(photo, split=Split.TEST)


def show_labels(console: Console, report: QualityReport, flipped: set[str], share: float) -> bool:
    """How many changed labels are doubted; whether they are half of them at least."""
    console.print(report.characteristics[0].summary)
    doubted = _finding(report, "label_noise")
    every = [] if doubted is None else list(doubted.photos)
    sure = [each for each in every if int(each.why.rpartition("with ")[2].rstrip("%")) >= SURE * 100]
    table = Table(title=f"{share:.0%} of the labels changed: {len(flipped)}")
    for column in ("", "photos", "of them changed", "precision", "recall"):
        table.add_column(column, justify="right" if column else "left")
    for name, these in (
        ("doubted", every),
        (f"doubted, {SURE:.0%} sure", sure),
        ("the clearest, as many as changed", every[: len(flipped)]),
    ):
        hits = sum(each.sha256 in flipped for each in these)
        table.add_row(name, str(len(these)), str(hits), _share(hits, len(these)), _share(hits, len(flipped)))
    console.print(table)
    return not flipped or sum(each.sha256 in flipped for each in every) * 2 >= len(flipped)


def show_likeness(
    console: Console, report: QualityReport, manifest: Manifest, copies: dict[Photo, tuple[str, str]]
) -> bool:
    """Which copies and strangers are found; whether no other pair is."""
    leaks = _finding(report, "leaks")
    pairs = [] if leaks is None else [{each.sha256, each.beside[1]} for each in leaks.photos if each.beside]
    wanted = {photo.sha256: (kind, {photo.sha256, original}) for photo, (kind, original) in copies.items()}
    hashed = find_leaks(manifest)
    by_hash = {sha256 for sha256, (_, pair) in wanted.items() if _hashes_agree(manifest, pair)}
    table = Table(title=f"Copies in the test split, {COPIES} of each kind")
    for column in ("kind", "found by embedding", "by perceptual hash", "by either"):
        table.add_column(column, justify="left" if column == "kind" else "right")
    for kind in KINDS if copies else ():
        of_kind = {sha256 for sha256, (other, _) in wanted.items() if other == kind}
        seen = {sha256 for sha256 in of_kind if wanted[sha256][1] in pairs}
        table.add_row(kind, *(f"{len(each & of_kind)} of {COPIES}" for each in (seen, by_hash, seen | by_hash)))
    console.print(table)
    # A copy may also be like a neighbour of its original.
    natural = [pair for pair in pairs if not pair & wanted.keys()]
    console.print(f"pairs by perceptual hash: {hashed.pairs}; by embedding: {len(pairs)}, {len(natural)} not inserted")
    strange = _finding(report, "unlike")
    keys = [each.key for each in strange.photos] if strange else []
    nothing = sum("~stripes" in key for key in keys)
    console.print(
        f"like no others: {len(keys)}, of them pictures of nothing: {nothing} of {STRANGERS if copies else 0}"
    )
    for result in report.results:
        console.print(f"{'passed' if result.passed else 'FAILED'}  {result.asked}; found {result.found}")
    return not natural


def _hashes_agree(manifest: Manifest, pair: set[str]) -> bool:
    hashes = Hashes([photo.perceptual_hash for photo in manifest.photos if photo.sha256 in pair])
    return len(hashes.near(0)) > 1  # itself is always near


def _finding(report: QualityReport, name: str) -> Finding | None:
    return next((each for part in report.characteristics for each in part.findings if each.name == name), None)


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.0%}" if whole else "–"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--photos", type=Path, help="a folder with a subfolder per class, not generated photos")
    parser.add_argument("--count", type=int, default=1200, help="generated photos")
    parser.add_argument("--flips", type=float, default=0.05, help="share of labels that are changed")
    parser.add_argument("--no-copies", action="store_true", help="insert nothing else")
    parser.add_argument("--small-networks", action="store_true", help="as without a network pre-trained on ImageNet")
    parser.add_argument("--seed", type=int, default=2026)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
