"""Everything about a training that can be tuned, in one place.

The defaults learn the generated photo set in well under a minute on two cores. Settings for other cases are given as
`name=value`; `docs/design/training.md` has those for real photos, with what they reached.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, replace
from typing import Self

from registry.encoding import Fields
from training.errors import SpecMalformed


@dataclass(frozen=True, kw_only=True)
class HyperParameters:
    """One recipe. Shares are between 0 and 1."""

    architecture: str = "resnet8"  # one of `training.model.ARCHITECTURES`
    image_size: int = 48  # photos are seen at this many pixels squared
    epochs: int = 12
    batch_size: int = 16
    learning_rate: float = 0.002  # of AdamW, at its highest
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

    def __post_init__(self) -> None:
        """Refuse what no training can mean; SpecMalformed."""
        for name in ("image_size", "epochs", "batch_size", "learning_rate"):
            if not getattr(self, name) > 0:
                raise SpecMalformed(f"{name} must be above 0, not {getattr(self, name)}")
        for name in ("warm_up", "label_smoothing", "ema_decay", "crop_scale", "light", "greyscale", "blur"):
            if not 0 <= getattr(self, name) <= 1:
                raise SpecMalformed(f"{name} is a share: from 0 to 1, not {getattr(self, name)}")

    def with_settings(self, settings: Iterable[str]) -> Self:
        """Change some by `name=value`; SpecMalformed names those that exist."""
        changes: dict[str, str | int | float] = {}
        kinds: dict[str, type[str | int | float]] = {name: type(value) for name, value in asdict(self).items()}
        for setting in settings:
            name, separator, value = setting.partition("=")
            if not separator or name not in kinds:
                raise SpecMalformed(f"{setting!r} is no setting; write name=value with one of: {', '.join(kinds)}")
            try:
                changes[name] = kinds[name](value)
            except ValueError as error:
                raise SpecMalformed(f"{name} needs a value of type {kinds[name].__name__}, not {value!r}") from error
        return replace(self, **changes)  # pyright: ignore[reportArgumentType] - names and types come from the fields

    @classmethod
    def read(cls, reader: Fields) -> Self:
        """Read all, strictly; ValueError or SpecMalformed."""
        read: dict[str, object] = {}
        for field in fields(cls):
            if isinstance(field.default, str):
                read[field.name] = reader.text(field.name)
            elif isinstance(field.default, int):
                read[field.name] = reader.count(field.name, least=0)
            else:
                read[field.name] = reader.number(field.name)
        reader.done()
        return cls(**read)  # pyright: ignore[reportArgumentType] - names and types come from the fields
