"""Photos per second that reach the network: petpark and torchvision's usual way, in turns, on the same cores.

- torchvision's: a DataLoader with a process a core; Pillow decodes, RandomResizedCrop, flip, to tensor, normalise.
- ours, first epoch: fetch from a store in memory, verify, decode through `imaging`, vary, normalise.
- ours, later epochs: vary and normalise what was decoded once. Variation includes turning, light, night and blur.

A job of several epochs is judged, because that is what users wait for. Ends with 1 if the promise does not hold.
"""

import argparse
import io
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, override

# As on an instance: spinning threads occupy cores that others could use. Read when torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch
from PIL import Image
from rich.console import Console
from rich.table import Table
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.support.figures import Machine, Spread, paired
from registry.layout.data_lake import photo_key
from registry.store.memory_store import MemoryStore
from training.dataset.generated import generate
from training.dataset.ingest import ingest
from training.dataset.manifest import Manifest
from training.distributed.group import Group
from training.fitting.batches import Batches
from training.fitting.pixels import LabelledPixels, load_pixels
from training.hyper_parameters import HyperParameters
from training.networks.model import DEVIATION, MEAN

PROMISE: Final = 2.0


class Usual(Dataset[tuple[torch.Tensor, int]]):
    """Photos as torchvision's reference training reads them, though from memory: no disk slows them down."""

    def __init__(self, photos: list[bytes], size: int) -> None:
        self._photos = photos
        steps = [transforms.RandomResizedCrop(size), transforms.RandomHorizontalFlip(), transforms.ToTensor()]
        self._vary: Callable[[Any], torch.Tensor] = transforms.Compose([*steps, transforms.Normalize(MEAN, DEVIATION)])

    def __len__(self) -> int:
        """Photos."""
        return len(self._photos)

    @override
    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self._vary(Image.open(io.BytesIO(self._photos[index])).convert("RGB")), 0


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, help="class folders of photos (default: drawn ones, 1280 by 720)")
    parser.add_argument("--count", type=int, default=400, help="of drawn photos (400)")
    parser.add_argument("--size", type=int, default=224, help="pixels squared that the network sees (224)")
    parser.add_argument("--epochs", type=int, default=12, help="of the job that is judged (12)")
    parser.add_argument("--trials", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    machine = Machine.here()
    torch.set_num_threads(os.process_cpu_count() or 1)
    with tempfile.TemporaryDirectory() as directory:
        folder = asked.photos or _camera_photos(Path(directory), asked.count)
        lake = MemoryStore()
        manifest = ingest(folder, lake, seed=0).manifest
    photos = [lake.get(photo_key(photo.sha256)) for photo in manifest.photos]
    parameters = HyperParameters(image_size=asked.size, batch_size=min(64, len(photos)))
    usual, first, later = list[float](), list[float](), list[float]()
    for _ in range(asked.trials):
        usual.append(_rate(len(photos), lambda: _read(Usual(photos, asked.size), parameters.batch_size)))
        begun = time.perf_counter()
        pixels = _decode(lake, manifest, asked.size)
        _vary(pixels, parameters)
        first.append(len(photos) / (time.perf_counter() - begun))
        later.append(_rate(len(photos), lambda pixels=pixels: _vary(pixels, parameters)))
    job = [asked.epochs / (1 / one + (asked.epochs - 1) / more) for one, more in zip(first, later, strict=True)]
    rows = {
        "torchvision's DataLoader": (Spread.of(usual), Spread.of([1.0] * asked.trials)),
        "ours, first epoch": (Spread.of(first), paired(first, usual)),
        "ours, later epochs": (Spread.of(later), paired(later, usual)),
        f"ours, a job of {asked.epochs} epochs": (Spread.of(job), paired(job, usual)),
    }
    holds = paired(job, usual).median >= PROMISE
    if asked.json:
        figures = {name: {"photos_per_second": asdict(rate), "ratio": asdict(of)} for name, (rate, of) in rows.items()}
        print(json.dumps({"machine": asdict(machine), "photos": len(photos), "figures": figures, "holds": holds}))
        return int(not holds)
    table = Table("", "photos/s", "of torchvision's", title=f"{len(photos)} photos to {asked.size} px, {machine}")
    for name, (rate, of) in rows.items():
        table.add_row(name, str(rate), str(of))
    Console().print(table)
    print(f"{'kept' if holds else 'NOT KEPT'}: a job's input is at least {PROMISE} times as fast")
    return int(not holds)


def _camera_photos(directory: Path, count: int) -> Path:
    """Draw photos, as large as a camera's."""
    generate(directory, count=count, seed=0)
    for path in directory.rglob("*.jpg"):
        with Image.open(path) as photo:
            photo.resize((1280, 720), Image.Resampling.BICUBIC).save(path, quality=88)
    return directory


def _rate(count: int, work: Callable[[], None]) -> float:
    begun = time.perf_counter()
    work()
    return count / (time.perf_counter() - begun)


def _read(photos: Usual, batch: int) -> None:
    for _ in DataLoader(photos, batch_size=batch, shuffle=True, num_workers=os.process_cpu_count() or 1):
        pass


def _decode(lake: MemoryStore, manifest: Manifest, size: int) -> LabelledPixels:
    return load_pixels(lake, manifest.photos, manifest.labels, size, check=lambda: None)


def _vary(pixels: LabelledPixels, parameters: HyperParameters) -> None:
    """Make one epoch's batches."""
    classes = int(pixels.targets.max()) + 1
    batches = Batches(pixels, classes=classes, parameters=parameters, seed=0, group=Group.alone())
    for step in range(batches.per_epoch):
        batches.at(step)


if __name__ == "__main__":
    sys.exit(main())
