"""Everything about a training that can be tuned, in one place.

The defaults learn the generated photo set in well under a minute on two cores. Settings for other cases are given as
`name=value`; `docs/design/training.md` has those for real photos, with what they reached.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType
from typing import Final, Self

from training.errors import SpecMalformed
from training.settings import Settings

OPTIMISERS: Final = ("adamw", "muon")
_SHARES: Final = (
    *("warm_up", "label_smoothing", "ema_decay", "crop_scale", "light", "class_balance"),
    *("greyscale", "blur", "infrared", "jpeg", "glare", "bars"),
)
_SWITCHES: Final = ("deterministic", "flips", "compile", "frozen")
ARCHITECTURES: Final = (
    *("resnet8", "resnet10", "resnet18", "mobilenet_v3_small", "efficientnet_b0", "convnext_tiny"),
    *("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2"),
)
"""Names of what `training.networks.model` builds, for code without torch."""

_SIDES: Final = (8, 1024)  # pixels: below nothing is seen, above one batch fills a GPU
_SIDES_OF: Final[Mapping[str, int]] = MappingProxyType({"convnext_tiny": 32})  # it halves a photo five times
_MOST_EPOCHS: Final = 100_000
_MOST_PHOTOS: Final = 65_536  # in a batch
_MOST_VIEWS: Final = 64
_MOST_CHOSEN_VIEWS: Final = 8
_STEPS_OF_ONE: Final = 6.3
_GROWTH: Final = 0.6
_VIEWS_IN_ALL: Final = 1000  # of few photos, more views are shown until there are so many


@dataclass(frozen=True, kw_only=True)
class HyperParameters(Settings):
    """One recipe. Shares are between 0 and 1."""

    YOUNG = frozenset({"infrared", "jpeg", "glare", "bars", "class_balance", "deterministic", "compile"}) | {
        *("start_size", "flips", "optimiser", "frozen", "views"),
    }
    RETIRED = MappingProxyType({"layer_decay": 1.0})

    architecture: str = "resnet8"  # one of `ARCHITECTURES`
    image_size: int = 48  # photos are decoded at this many pixels squared; the model answers at it
    start_size: int = 0  # the first step shows them at so many, then they grow to image_size; 0: all steps at that
    epochs: int = 12  # 0: chosen by the number of photos
    batch_size: int = 16
    optimiser: str = "adamw"  # one of OPTIMISERS; muon learns more from every photo and costs a third more on a CPU
    learning_rate: float = 0.002  # at its highest
    weight_decay: float = 0.05
    warm_up: float = 0.1  # share of the steps until the learning rate is at its highest; a cosine follows
    label_smoothing: float = 0.05
    ema_decay: float = 0.98  # of the moving average of weights that becomes the model
    mixup: float = 0.0  # parameter of the Beta distribution that photos are mixed by; 0 for none
    crop_scale: float = 0.8  # smallest share of a photo's side that a crop shows
    rotation: float = 8.0  # degrees, both ways
    light: float = 0.3  # how far brightness and contrast vary
    greyscale: float = 0.2  # share of photos shown without colour, as at night
    blur: float = 0.1  # share of photos blurred
    infrared: float = 0.0  # share shown as under a camera's own lamp at night
    jpeg: float = 0.0  # share compressed until it shows
    glare: float = 0.0  # share with the sun, or a lamp, in the picture
    bars: float = 0.0  # share seen through a fence
    class_balance: float = 1.0  # 1: classes count alike, however many photos they have; 0: photos do
    deterministic: int = 1  # on a GPU, 1 for the same bits every time; 0 is faster
    flips: int = 0  # 1: the model answers by the mean of a photo and its mirror image, at twice the cost
    frozen: int = 0  # 1: only the linear layer is learned, on a network with initial weights that stays as it is
    views: int = 1  # of each photo that a frozen network sees: photo, mirror image, crops; 0: by the number of photos
    compile: int = 0  # 1: by torch.compile; pays on a GPU, where a job is longer than some minutes

    def __post_init__(self) -> None:
        """Refuse what no training can mean; SpecMalformed."""
        for name, there in (("architecture", ARCHITECTURES), ("optimiser", OPTIMISERS)):
            if getattr(self, name) not in there:
                raise SpecMalformed(f"unknown {name} {getattr(self, name)!r}; choose one of: {', '.join(there)}")
        for name in ("batch_size", "learning_rate", "crop_scale"):
            if not getattr(self, name) > 0:
                raise SpecMalformed(f"{name} must be above 0, not {getattr(self, name)}")
        for name in ("weight_decay", "mixup", "rotation"):
            if not getattr(self, name) >= 0:
                raise SpecMalformed(f"{name} must be 0 or above, not {getattr(self, name)}")
        for name in _SHARES:
            if not 0 <= getattr(self, name) <= 1:
                raise SpecMalformed(f"{name} is a share: from 0 to 1, not {getattr(self, name)}")
        for name in _SWITCHES:
            if getattr(self, name) not in (0, 1):
                raise SpecMalformed(f"{name} is a switch: 0 or 1, not {getattr(self, name)}")
        least = _SIDES_OF.get(self.architecture, _SIDES[0])
        for name, most, low in (
            ("image_size", _SIDES[1], least),
            ("start_size", self.image_size, least if self.start_size else 0),
            ("epochs", _MOST_EPOCHS, 0),
            ("views", _MOST_VIEWS, 0),
            ("batch_size", _MOST_PHOTOS, 1),
            ("rotation", 180, 0),
        ):
            if not low <= getattr(self, name) <= most:
                raise SpecMalformed(f"{name} must be from {low} to {most}, not {getattr(self, name)}")
        for name, value in asdict(self).items():
            if isinstance(value, float) and not math.isfinite(value):
                raise SpecMalformed(f"{name} must be a number, not {value}")

    def for_photos(self, count: int) -> Self:
        """Choose what was left to the number of training photos: `epochs` and `views`, where they are 0.

        Steps grow with the photos to the power of 0.6, so that epochs become fewer: 28 of 12 photos, 11 of 1,300, and
        2 of 100,000, at 32 a batch.
        """
        epochs, views = self.epochs, self.views
        if epochs == 0:
            steps = _STEPS_OF_ONE * count**_GROWTH
            epochs = max(1, round(steps / max(1, count // min(self.batch_size, count))))
        if views == 0:
            views = min(_MOST_CHOSEN_VIEWS, max(2, math.ceil(_VIEWS_IN_ALL / count)))
        return replace(self, epochs=epochs, views=views)


FOR_GPUS: Final = HyperParameters(
    architecture="mobilenet_v3_small",
    image_size=224,
    epochs=30,
    batch_size=64,
    learning_rate=0.001,
    ema_decay=0.999,
    crop_scale=0.5,
    infrared=0.1,
    jpeg=0.1,
    glare=0.1,
    bars=0.1,
)
"""What a job in the cloud starts from: the contract's network, at the size its weights are made for. Not yet tuned."""

FOR_FEW_PHOTOS: Final = HyperParameters(
    image_size=64, start_size=48, epochs=24, batch_size=32, optimiser="muon", crop_scale=0.6, greyscale=0.1, flips=1
)
"""Some thousand real photos, from scratch, on a CPU. Chosen on photos held out from learning: see training.md."""

FOR_TRANSFER: Final = HyperParameters(
    architecture="efficientnet_lite0", image_size=224, epochs=0, batch_size=32, frozen=1, views=0
)
"""Real photos, whatever number, on a CPU or a GPU: a linear layer on a network pretrained on ImageNet.

See transfer.md.
"""

RECIPES: Final[Mapping[str, HyperParameters]] = MappingProxyType(
    {"two-cores": HyperParameters(), "few-photos": FOR_FEW_PHOTOS, "gpu": FOR_GPUS, "transfer": FOR_TRANSFER}
)


_IDLE: Final = frozenset(
    {
        *("start_size", "epochs", "batch_size", "optimiser", "learning_rate", "weight_decay", "warm_up"),
        *("label_smoothing", "ema_decay", "mixup", "deterministic", "compile"),
    }
)
"""What the training of a linear layer does not look at."""


def idle(parameters: HyperParameters, names: Iterable[str]) -> list[str]:
    """Name those of the settings that change nothing in a training with `parameters`, ascending."""
    return sorted(_IDLE.intersection(names)) if parameters.frozen else []


def refuse_idle(parameters: HyperParameters, settings: Iterable[str]) -> None:
    """Refuse settings (`name=value`, or just names) that change nothing with `parameters`; SpecMalformed."""
    if names := idle(parameters, (setting.partition("=")[0].strip() for setting in settings)):
        raise SpecMalformed(
            f"{', '.join(names)} {'changes' if len(names) == 1 else 'change'} nothing where a linear layer alone is "
            "learned (frozen=1): its optimum is found without steps. Leave it out; or fine-tune the whole network with "
            "--set frozen=0 --weights imagenet, or train from scratch with --recipe few-photos"
        )


def find_recipe(name: str) -> HyperParameters:
    """Returns the recipe of a name; SpecMalformed names those that exist."""
    if name not in RECIPES:
        raise SpecMalformed(f"no recipe {name!r}; choose one of: {', '.join(RECIPES)}")
    return RECIPES[name]
