"""Pictures that show none of the classes, generated on the fly: every version is tested with them, whatever its
classes.

Far ones are noise, gradients and plain colours: what a covered or broken camera sends. Near ones are test photos with
their pieces shuffled: the colours and textures of what the classes show, without its shape.
"""

from typing import Final

import numpy as np

from training.networks.export import Pixels

COUNT: Final = 60
"""Of each kind."""

_PIECES: Final = 6


def far(size: int, *, seed: int) -> Pixels:
    """Returns `COUNT` pictures [COUNT, size, size, 3]; the same ones for the same seed."""
    rng = np.random.default_rng((seed, 1))
    makers = (_noise, _gradient, _plain)
    return np.stack([makers[number % len(makers)](rng, size) for number in range(COUNT)])


def near(photos: Pixels, *, seed: int) -> Pixels:
    """Shuffle the pieces of up to `COUNT` photos [N, size, size, 3], spread over them."""
    rng = np.random.default_rng((seed, 2))
    places = np.linspace(0, len(photos) - 1, min(COUNT, len(photos))).astype(int)
    return np.stack([_shuffled(rng, photos[place]) for place in places])


def _noise(rng: np.random.Generator, size: int) -> Pixels:
    cells = int(rng.choice([4, 16, size]))
    places = np.arange(size) * cells // size
    return rng.integers(0, 256, (cells, cells, 3)).astype(np.uint8)[places][:, places]


def _gradient(rng: np.random.Generator, size: int) -> Pixels:
    one, other = rng.integers(0, 256, (2, 3))
    share = np.linspace(0, 1, size)[:, None, None] * np.ones((1, size, 1))
    turned = share.swapaxes(0, 1) if rng.random() < 0.5 else share
    return (one + (other - one) * turned).astype(np.uint8)


def _plain(rng: np.random.Generator, size: int) -> Pixels:
    return np.full((size, size, 3), rng.integers(0, 256, 3), dtype=np.uint8)


def _shuffled(rng: np.random.Generator, photo: Pixels) -> Pixels:
    pieces = min(_PIECES, photo.shape[0])
    side = photo.shape[0] // pieces
    cut = photo[: pieces * side, : pieces * side].reshape(pieces, side, pieces, side, 3).swapaxes(1, 2)
    mixed = cut.reshape(-1, side, side, 3)[rng.permutation(pieces * pieces)]
    whole = photo.copy()
    whole[: pieces * side, : pieces * side] = (
        mixed.reshape(pieces, pieces, side, side, 3).swapaxes(1, 2).reshape(pieces * side, pieces * side, 3)
    )
    return whole
