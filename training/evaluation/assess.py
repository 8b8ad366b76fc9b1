"""The exported model on the test photos: figures, and the pictures a person wants to see."""

import base64
import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image

from training.dataset.manifest import Photo
from training.evaluation.metrics import Evaluation, evaluate
from training.export import ExportedModel, Numbers, Pixels
from training.pixels import LabelledPixels

MOST_ERRORS: Final = 24
MOST_SAMPLES: Final = 12
_PICTURE: Final = 132


@dataclass(frozen=True, kw_only=True)
class Exhibit:
    """One photo with the model's answer, for a person to look at."""

    key: str
    truth: str
    answer: str
    confidence: float
    picture: str  # data URI
    evidence: str  # data URI: where in the photo the evidence for the answer lies


@dataclass(frozen=True, kw_only=True)
class Assessment:
    """What the test split says of a model."""

    evaluation: Evaluation
    errors: tuple[Exhibit, ...]  # the most confident ones first
    samples: tuple[Exhibit, ...]  # right answers, spread evenly over the test split


def assess(exported: ExportedModel, test: LabelledPixels, *, picture: Callable[[Photo], Pixels]) -> Assessment:
    """Answer every test photo; `picture` gives a photo's pixels for showing, of any size."""
    answers = exported.explain(test.pixels.numpy())
    truth, answered = test.targets.numpy(), answers.probabilities.argmax(axis=1)
    wrong = np.flatnonzero(answered != truth)
    wrong = wrong[np.argsort(-answers.probabilities[wrong].max(axis=1), kind="stable")][:MOST_ERRORS]
    right = np.flatnonzero(answered == truth)
    right = right[np.linspace(0, len(right) - 1, min(MOST_SAMPLES, len(right))).astype(int)]

    def exhibit(place: int) -> Exhibit:
        photo, answer = test.photos[place], int(answered[place])
        pixels = picture(photo)
        return Exhibit(
            key=photo.key,
            truth=photo.label,
            answer=exported.labels[answer],
            confidence=float(answers.probabilities[place, answer]),
            picture=_data_uri(Image.fromarray(pixels)),
            evidence=_data_uri(_lit(pixels, answers.activation_map[place, answer])),
        )

    return Assessment(
        evaluation=evaluate(truth, answered, exported.labels),
        errors=tuple(exhibit(int(place)) for place in wrong),
        samples=tuple(exhibit(int(place)) for place in right),
    )


def _lit(pixels: Pixels, evidence: Numbers) -> Image.Image:
    """Darken a photo where there is little evidence for the answer."""
    low, high = float(evidence.min()), float(evidence.max())
    share = (evidence - low) / (high - low or 1.0)
    light = Image.fromarray(share.astype(np.float32)).resize(pixels.shape[1::-1], Image.Resampling.BICUBIC)
    shown = pixels * np.clip(0.25 + 0.75 * np.asarray(light), 0, 1)[:, :, None]
    return Image.fromarray(shown.astype(np.uint8))


def _data_uri(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.resize((_PICTURE, _PICTURE), Image.Resampling.LANCZOS).save(buffer, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
