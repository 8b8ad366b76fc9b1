"""Trains in a child process that prints every step, so that a test can kill it at any step."""

from multiprocessing.connection import Connection
from pathlib import Path

import torch

from registry.encoding import sha256_hex
from tests.folder_store import FolderStore
from training.dataset.manifest import Photo, Split
from training.fitting.checkpoint import Checkpoints
from training.fitting.pixels import LabelledPixels
from training.fitting.train import train
from training.hyper_parameters import HyperParameters
from training.networks.model import Classifier

PARAMETERS = HyperParameters(image_size=16, start_size=8, epochs=4, batch_size=8, mixup=0.2, flips=1, optimiser="muon")


def some_pixels(count: int = 28, *, seed: int = 5, size: int = 16) -> LabelledPixels:
    generator = torch.Generator().manual_seed(seed)
    targets = torch.arange(count) % 2
    noise = torch.randint(0, 120, (count, size, size, 3), generator=generator)
    photos = tuple(
        Photo(
            key=f"{number:03d}",
            sha256=sha256_hex(bytes([number])),
            width=size,
            height=size,
            label="ab"[int(target)],
            split=Split.TRAIN,
            group=str(number),
            captured_at=None,
            perceptual_hash="0" * 16,
            brightness=0.5,
            sharpness=0.1,
        )
        for number, target in enumerate(targets)
    )
    pixels = (noise + 120 * targets[:, None, None, None]).to(torch.uint8)
    return LabelledPixels(photos=photos, pixels=pixels, targets=targets)


def train_some(checkpoints: Checkpoints, should_stop=lambda: False, on_epoch=lambda _record: None) -> Classifier:
    return train(
        some_pixels(),
        some_pixels(seed=6),
        classes=2,
        parameters=PARAMETERS,
        seed=11,
        initial_weights=None,
        checkpoints=checkpoints,
        on_epoch=on_epoch,
        should_stop=should_stop,
    )


def train_aloud(directory: Path, job: str, said: Connection) -> None:
    def say_step() -> bool:
        said.send("step")
        return False

    torch.set_num_threads(2)
    train_some(Checkpoints(FolderStore(directory), job), should_stop=say_step)
