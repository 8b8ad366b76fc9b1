"""A photo set that needs no download: drawn animals as a cheap camera might see them.

Cats and dogs share coats, markings, poses, places, light and every fault of the camera, so that colour and layout say
nothing about the class. What differs is what differs in life: ears, muzzle and tail. A linear model on pixels or on a
colour histogram stays near chance (a test holds it below 70 %); a small CNN does not.

The set is a pure function of (count, seed): every photo is drawn from its own random stream, in any process and order.
"""

import contextlib
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Final

import numpy as np

from training.dataset.drawing import camera, scene
from training.dataset.drawing.animal import Kind, draw_animal

SIZE: Final = 160
KINDS: Final[tuple[Kind, ...]] = ("cat", "dog")
_BATCH: Final = 25
_NICE: Final = 10


def generate(directory: Path, *, count: int, seed: int, progress: Callable[[int, int], None] | None = None) -> None:
    """Write `count` photos, half of each class, as `directory/<class>/<number>.jpg`.

    `progress(done, count)` is called now and then.
    """
    for kind in KINDS:
        (directory / kind).mkdir(parents=True, exist_ok=True)
    batches = [range(start, min(start + _BATCH, count)) for start in range(0, count, _BATCH)]
    done = 0
    with contextlib.ExitStack() as running:
        each: Callable[..., Iterable[int]] = map
        if _processes_can_share():
            pool = ProcessPoolExecutor(
                max_workers=_workers(len(batches)),
                mp_context=get_context("forkserver"),
                initializer=os.nice,  # a rehearsal deploys stacks at the same time
                initargs=(_NICE,),
            )
            each = running.enter_context(pool).map
        for written in each(_write_photos, [directory] * len(batches), batches, [seed] * len(batches)):
            done += written
            if progress:
                progress(done, count)


def draw_photo(kind: Kind, *, seed: int, number: int) -> bytes:
    """Draw one photo: a place, an animal in it, then everything that a camera does to them."""
    rng = np.random.default_rng([seed, number])
    background = scene.draw_background(rng, SIZE)
    animal = draw_animal(rng, kind, SIZE)
    return camera.take(rng, scene.place(rng, background, animal))


def _write_photos(directory: Path, numbers: range, seed: int) -> int:
    for number in numbers:
        kind = KINDS[number % len(KINDS)]
        (directory / kind / f"{number:06d}.jpg").write_bytes(draw_photo(kind, seed=seed, number=number))
    return len(numbers)


def _processes_can_share() -> bool:
    """Whether a pool of processes can have its locks: Linux keeps them in /dev/shm, which some containers lack."""
    try:
        get_context("forkserver").Lock()
    except OSError:
        return False
    return True


def _workers(batches: int) -> int:
    return max(1, min(os.process_cpu_count() or 1, batches))
