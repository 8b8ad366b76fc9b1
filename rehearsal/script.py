"""What varies between rehearsals."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from training.hyper_parameters import FOR_FEW_PHOTOS

REAL_PHOTOS = tuple(f"{name}={value}" for name, value in asdict(FOR_FEW_PHOTOS).items())
"""Hyper-parameters for photos that somebody took, from scratch, in some minutes of CPU: `docs/design/training.md`."""


@dataclass(frozen=True, kw_only=True)
class Script:
    """What varies between rehearsals.

    `photos` None draws a set of `photo_count`. `recipe` are hyper-parameters (`key=value`) other than the defaults;
    `second_recipe` goes on top of them for the second training, which starts from the weights of the first and takes
    small steps: a model that got worse than the one in prod, beyond luck, would rightly not pass its gate.
    `most_held_out` bounds the photos of the application test.
    """

    photos: Path | None = None
    photo_count: int = 1000
    recipe: tuple[str, ...] = ("epochs=6", "optimiser=muon")
    second_recipe: tuple[str, ...] = ("epochs=1", "learning_rate=0.0001")
    most_held_out: int = 1000

    @classmethod
    def of_photos(cls, photos: Path) -> Script:
        """For real photos, which take longer to learn from scratch than drawn ones."""
        return cls(photos=photos, recipe=REAL_PHOTOS)
