"""What varies between rehearsals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from petpark.targets.target import USUAL_RECIPE
from rehearsal.scenario import growing_dataset
from rehearsal.scenario.demo_gates import demo_gates
from rehearsal.target import DRAWN_RECIPE

if TYPE_CHECKING:
    from training.hyper_parameters import HyperParameters

SEED: Final = 20_26
"""Of the drawn photos, of the dataset's split, and (with a training's number added) of the trainings by hand."""

_LARGER: Final = "architecture=efficientnet_lite2"
_GENTLY: Final = ("epochs=1", "learning_rate=0.0001")


_FAST_CHECKS: Final = {"photos": 40, "calls": 30}
"""Corrupts fewer photos than a job does otherwise: the rehearsal shows that it is tested, not how good it is."""

CHECKS: Final = tuple(f"{name}={value}" for name, value in _FAST_CHECKS.items())
"""The same for a training by hand."""


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
    photo_count: int = 600
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
        growing = bool(parameters.frozen) and growing_dataset.grows(photos)
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

    def settings(self, own: Mapping[str, Any]) -> dict[str, Any]:
        """What goes on top of the configuration of the stack that has the pipeline; `own` is what its YAML says.

        Each new manifest starts the pipeline, which trains as this scenario does, by the stack's own gates. What takes
        hours, a search and a canary, is left out, and so are comparisons and reports by schedule: AWS starts a `rate`
        schedule when it is created, before there is anything to report.
        """
        gates: Mapping[str, Any] = own["petpark:gates"]
        pipeline = {
            **own["petpark:pipeline"],
            "on_manifest": True,
            "recipe": self.base,
            "rounds": [" ".join(self.recipe)],
            "search": [],
            "search_epochs": 0,
            "canary_percent": 0,
            "prod_stack": "prod",
            "prod_channel": "prod",
            "drift_schedule": "none",
            "monitoring_schedule": "none",
            "report_schedule": "none",
        }
        model = gates["model"] if self.photos is None else demo_gates(gates["model"], self.test_photos)
        return {
            "petpark:pipeline": pipeline,
            "petpark:gates": {**gates, "model": model, "checks": {**gates.get("checks", {}), **_FAST_CHECKS}},
        }

    @property
    def test_photos(self) -> int:
        """About how many of a user's photos test the first version."""
        from training.dataset.splits.split import TEST_SHARE

        photos = 0 if self.photos is None else sum(growing_dataset.count(self.photos).values())
        return round(TEST_SHARE * photos / (2 if self.grows else 1))
