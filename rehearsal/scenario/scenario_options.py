"""What varies between rehearsals."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from petpark.targets.target import USUAL_RECIPE
from rehearsal.scenario.growing_dataset import grows
from rehearsal.target import DRAWN_RECIPE

if TYPE_CHECKING:
    from training.hyper_parameters import HyperParameters

_LARGER: Final = "architecture=efficientnet_lite2"
_GENTLY: Final = ("epochs=1", "learning_rate=0.0001")


@dataclass(frozen=True, kw_only=True)
class ScenarioOptions:
    """What varies between rehearsals.

    `photos` None draws a set of `photo_count`. `base` is the recipe that the photos are trained by, `recipe` are
    hyper-parameters (`key=value`) other than its own, `second_recipe` continues top of them for the second training.

    That one differs from the first by what makes a second version in life, so that it need not be worse:

    - `grows`: it has all photos, where the first had half of them.
    - Photos too few for that, or that were drawn: the same photos. A network that is trained whole starts from the
      weights of the first and takes small steps; a linear layer is learned on a larger network, for the same layer
      would come out again.

    `most_held_out` bounds the photos of the application test.
    """

    photos: Path | None = None
    photo_count: int = 1000
    base: str = DRAWN_RECIPE
    recipe: tuple[str, ...] = ("epochs=6", "optimiser=muon")
    second_recipe: tuple[str, ...] = _GENTLY
    grows: bool = False
    most_held_out: int = 1000

    @classmethod
    def of_photos(cls, photos: Path, base: str = "", settings: tuple[str, ...] = ()) -> ScenarioOptions:
        """For real photos, by default by a linear layer on a network pretrained on ImageNet.

        Raises training's `SpecMalformed` for a recipe or settings that do not exist, or that change nothing.
        """
        from training.hyper_parameters import find_recipe, refuse_idle

        parameters = find_recipe(base or USUAL_RECIPE).with_settings(settings)
        refuse_idle(parameters, settings)
        growing = bool(parameters.frozen) and grows(photos)
        larger = (_LARGER,) if parameters.frozen and not growing else ()
        return cls(
            photos=photos,
            base=base or USUAL_RECIPE,
            recipe=settings,
            second_recipe=larger if parameters.frozen else _GENTLY,
            grows=growing,
        )

    def parameters(self, number: int) -> HyperParameters:
        """Of the first or the second training."""
        from training.hyper_parameters import find_recipe

        return find_recipe(self.base).with_settings(self.recipe + (self.second_recipe if number > 1 else ()))
