"""A version in memory: photo bytes in, a classification out."""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cached_property
from typing import Annotated, Final, TypedDict, cast

import msgspec
import numpy as np
import numpy.typing as npt

import imaging
from registry.certificates.certificate import Certificate
from registry.encoding import parse_time
from registry.version import Version
from registry.versions.abstention import BACKGROUND, Abstention, answer_set, as_text
from registry.versions.decision import Decision, decide
from serving.inference.session import STRANGENESS, Pixels, Scores, Session

type Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class Model(TypedDict):
    """The serving version, as in responses."""

    name: str
    version: int
    digest: str


class DecisionRule(TypedDict):
    """The rule that chooses a label from probabilities, as in responses."""

    positive: str
    threshold: Annotated[float, msgspec.Meta(ge=0, description="Above 1: never")]


class AbstentionRecord(TypedDict):
    """When a version abstains, as in `/v1/model` and the inference protocol."""

    coverage: Annotated[
        Share, msgspec.Meta(description="Asked: the share of photos of the classes whose answer holds theirs")
    ]
    strangeness: Annotated[Share, msgspec.Meta(description="The limit: an answer is `neither` above it")]
    thresholds: Annotated[
        dict[str, Share],
        msgspec.Meta(description="For each class the probability from which it is part of an answer"),
    ]
    grouped_by: Annotated[str, msgspec.Meta(description="Whose groups calibration left out; empty: photos")]
    groups: int
    photos: Annotated[int, msgspec.Meta(description="That the limit was calibrated on")]


class AbstentionAnswer(TypedDict):
    """Which classes a photo may show."""

    answer: Annotated[str, msgspec.Meta(description="A class, `cat or dog?`, or `neither`")]
    classes: Annotated[list[str], msgspec.Meta(description="Likeliest first; empty: neither")]
    coverage: Annotated[
        float | None,
        msgspec.Meta(description="Asked: the share of photos of the classes whose answer holds their class"),
    ]
    strangeness: Annotated[float | None, msgspec.Meta(description="From 0 to 1: how unlike the training photos")]


THRESHOLD: Final = (
    "Chosen in training for what errors cost: `positive` is the answer from a probability of `threshold` on, "
    "the likeliest of the other classes below it."
)
type ChosenBy = Annotated[
    DecisionRule, msgspec.Meta(description=f"{THRESHOLD} Absent where the likeliest class is the answer.")
]


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """The model's prediction for one photo."""

    label: str
    probabilities: dict[str, float]
    seconds: float
    """Duration of decoding and inference in seconds"""
    strangeness: float | None = None
    """From 0 to 1; None if the version has no record of abstention."""
    activation_map: npt.NDArray[np.float32] | None = None
    """[classes, h, w], if requested"""
    pixels: Pixels | None = None
    """[size, size, 3]: the model's input, if requested"""
    embedding: npt.NDArray[np.float32] | None = None
    """[d], if the prediction is recorded"""

    @property
    def confidence(self) -> float:
        """Returns the largest probability."""
        return max(self.probabilities.values())


@dataclass(frozen=True, kw_only=True)
class Standing:
    """The decision up to which a version's certificate was checked."""

    version: Version
    decisions: int
    """The number of the latest certificate decision that was read."""


@dataclass(frozen=True, kw_only=True)
class LoadedModel:
    """One verified version, ready to serve. Immutable, so that a request uses one version until its end."""

    version: Version
    session: Session
    certificate: Certificate | None
    standing: Standing | None
    """None, like the certificate, if no certificate is required."""
    decision: Decision | None = None
    """Rule that chooses a label from probabilities; None: the most probable class."""
    abstention: Abstention | None = None
    """When a prediction is a set of classes, or none; None: the version cannot abstain."""
    max_pixels: int = imaging.MAX_PIXELS

    def certified_seconds(self, now: datetime) -> float | None:
        """Returns the seconds until the certificate expires, negative afterwards; None without expiry."""
        if self.certificate is None or self.certificate.expires_at is None:
            return None
        return (parse_time(self.certificate.expires_at) - now).total_seconds()

    @cached_property
    def identity(self) -> Model:
        """Cached, because the digest is costly and the version never changes."""
        return {"name": self.version.model, "version": self.version.number, "digest": self.version.digest}

    @cached_property
    def rule(self) -> DecisionRule | None:
        """The decision rule, as in responses."""
        if self.decision is None:
            return None
        return {"positive": self.decision.positive, "threshold": self.decision.threshold}

    @cached_property
    def abstention_record(self) -> AbstentionRecord | None:
        """The record of abstention, as in `/v1/model` and the inference protocol."""
        return None if self.abstention is None else cast("AbstentionRecord", asdict(self.abstention))

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the model's outputs."""
        return self.session.labels

    def decode(self, photo: bytes) -> Pixels:
        """Returns the model's input [1, size, size, 3]. Raises `imaging.PhotoError`."""
        return imaging.decode(photo, self.session.size, max_pixels=self.max_pixels)[np.newaxis]

    def classify(self, photo: bytes, *, explain: bool = False, record: bool = False) -> Prediction:
        """Returns the prediction for a JPEG, PNG or WebP photo. Raises `imaging.PhotoError`.

        With `record`, it also has embedding and pixels; the other fields are the same.
        """
        began = time.perf_counter()
        pixels = self.decode(photo)
        wanted = ("probabilities", "activation_map") if explain else ("probabilities",)
        if self.abstention is not None:
            wanted = (*wanted, STRANGENESS)
        if record:
            wanted = (*wanted, "embedding")
        outputs = self.session.outputs(pixels, wanted)
        scores: list[float] = outputs["probabilities"][0].tolist()
        return Prediction(
            label=self.labels[decide(scores, self.labels, self.decision)],
            probabilities=dict(zip(self.labels, scores, strict=True)),
            seconds=time.perf_counter() - began,
            strangeness=float(outputs[STRANGENESS][0]) if self.abstention is not None else None,
            activation_map=outputs["activation_map"][0] if explain else None,
            pixels=pixels[0] if explain or record else None,
            embedding=outputs["embedding"][0] if record else None,
        )

    @property
    def recorded_outputs(self) -> tuple[str, ...]:
        """Outputs that `prediction_of` needs."""
        return ("probabilities", "embedding", *((STRANGENESS,) if self.abstention is not None else ()))

    def prediction_of(self, image: Pixels, outputs: Mapping[str, Scores], item: int, seconds: float) -> Prediction:
        """Returns the prediction for the `item`-th image of a tensor, as `classify` with `record` does for a photo.

        It has copies, so that the tensor and its outputs can be freed.
        """
        scores: list[float] = outputs["probabilities"][item].tolist()
        return Prediction(
            label=self.labels[decide(scores, self.labels, self.decision)],
            probabilities=dict(zip(self.labels, scores, strict=True)),
            seconds=seconds,
            strangeness=float(outputs[STRANGENESS][item]) if self.abstention is not None else None,
            pixels=image.copy(),
            embedding=outputs["embedding"][item].copy(),
        )

    def abstained(self, found: Prediction) -> AbstentionAnswer | None:
        """Returns the classes that a photo may show, empty for none; None if this version cannot abstain.

        A version without a record still returns `neither` if it has a class for frames without visitors.
        """
        if self.abstention is not None and found.strangeness is not None:
            scores = list(found.probabilities.values())
            classes = answer_set(scores, found.strangeness, self.labels, found.label, self.abstention)
            coverage: float | None = self.abstention.coverage
        elif BACKGROUND.intersection(self.labels):
            classes = () if found.label in BACKGROUND else (found.label,)
            coverage = None
        else:
            return None
        return {
            "answer": as_text(classes),
            "classes": list(classes),
            "coverage": coverage,
            "strangeness": found.strangeness,
        }
