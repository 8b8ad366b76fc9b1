"""The exported model on the test photos: figures, and the pictures a person wants to see."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np

from registry.intervals import Interval
from registry.versions.decision import Decision, decide
from training.dataset.manifest import Photo
from training.evaluation.baseline.comparison import Comparison, Incumbent, NotCompared, compare, flipped
from training.evaluation.baseline.side_by_side import Model, RobustnessAnswers, SideBySide, compare_figures
from training.evaluation.figures.calibration import (
    Calibration,
    Classes,
    Probabilities,
    Threshold,
    calibrate,
    choose_threshold,
)
from training.evaluation.figures.corruptions import CORRUPTIONS, SEVERITIES
from training.evaluation.figures.latency import Latency, measure_latency
from training.evaluation.figures.metrics import Evaluation, auroc, evaluate
from training.evaluation.figures.robustness import (
    Consistency,
    Robustness,
    measure_consistency,
    measure_robustness,
    stratified,
    try_corruptions,
)
from training.evaluation.figures.slices import Slice, measure_slices, worst
from training.evaluation.figures.temperature import Temperature
from training.evaluation.reporting.error_gallery import GalleryPhoto, data_uri, gallery_photo
from training.evaluation.selective.unseen_groups import UnseenGroups, measure_unseen_groups
from training.fitting.frozen import Learned
from training.fitting.pixels import LabelledPixels
from training.networks.export import Answers, ExportedModel, Numbers, Pixels
from training.plan import Checks

MOST_ERRORS: Final = 24
MOST_SAMPLES: Final = 12
MOST_FLIPPED: Final = 12
_PICTURES: Final = frozenset({"errors", "samples", "corrupted", "lost", "gained"})


@dataclass(frozen=True, kw_only=True)
class Assessment:
    """Figures of a model on the test split."""

    evaluation: Evaluation
    auroc: Mapping[str, float]  # label -> that class against all others
    calibration: Calibration
    threshold: Threshold
    decision: Decision | None  # by which answers and figures are computed; None: the most probable class
    slices: tuple[Slice, ...]
    robustness: Robustness
    consistency: Consistency
    latency: Latency
    comparison: Comparison | None  # with the version in prod
    beside: SideBySide | None  # figures of both; None if nothing could be compared
    unseen_groups: tuple[UnseenGroups, ...]  # what is left of the accuracy for groups that were left out
    lost: tuple[GalleryPhoto, ...]  # photos that only the version in prod gets right
    gained: tuple[GalleryPhoto, ...]  # photos that only this one gets right
    errors: tuple[GalleryPhoto, ...]  # the most confident ones first
    samples: tuple[GalleryPhoto, ...]  # right answers, spread evenly over the test split
    corrupted: Mapping[str, tuple[str, ...]]  # corruption -> one photo at each severity, as data URIs

    def metrics(self) -> dict[str, float]:
        """Returns the figures by name, as a version carries them; the same on every machine of a kind."""
        behind = worst(self.slices)
        compared = self.comparison
        return {
            **self.evaluation.metrics(),
            **{f"auroc_{label}": area for label, area in self.auroc.items()},
            "calibration_error": self.calibration.error,
            "calibration_error_before": self.calibration.error_before,
            "temperature": self.calibration.temperature.value,
            **(_bounded("slice_gap", behind.gap, behind.gap_interval) if behind else {}),
            **_bounded("robustness_drop", self.robustness.drop, self.robustness.drop_interval),
            **_bounded("consistency", self.consistency.share, self.consistency.interval),
            **{
                f"unseen_{name}_{each.column}": value
                for each in self.unseen_groups
                if each.exact
                for name, value in (
                    ("accuracy", each.accuracy),
                    ("balanced_accuracy", each.balanced),
                    ("accuracy_low", each.interval[0]),
                    ("accuracy_high", each.interval[1]),
                )
            },
            **({"mcnemar_p": compared.p_value} if compared and not compared.unmeasured else {}),
        }

    def facts(self) -> dict[str, object]:
        """Returns everything but the pictures, for programs."""
        return {name: value for name, value in asdict(self).items() if name not in _PICTURES}


def assess(
    exported: ExportedModel,
    test: LabelledPixels,
    *,
    validate: LabelledPixels,
    temperature: Temperature,
    checks: Checks,
    seed: int,
    picture: Callable[[Photo], Pixels],
    incumbent: Incumbent | NotCompared | None = None,
    learned: Learned | None = None,
) -> Assessment:
    """Answer every test photo as it will be in production, as it is and made worse.

    What has to be fitted is fitted on `validate`, as `temperature` was, which is in the file. `picture` gives a photo's
    pixels for showing, of any size. `learned` is the network with the embeddings that its linear layer was learned
    from, where that is all that was learned. SpecMalformed when `checks` name no class of the model.
    """
    pixels, truth = test.pixels.numpy(), test.targets.numpy()
    answers = exported.explain(pixels)
    threshold = _threshold(exported, checks, validate, answers.probabilities, truth)
    decision = threshold.decision
    answered = decided(answers.probabilities, exported.labels, decision)
    tried = stratified(truth, checks.photos)

    gallery = _Gallery(test.photos, exported.labels, answers, answered, truth, picture)
    lost, gained = gallery.flipped(incumbent)

    def answer_all(photos: Pixels) -> Classes:
        return decided(exported.classify(photos), exported.labels, decision)

    corrupted = try_corruptions(exported.classify, pixels[tried], seed=seed)
    beside = None
    if isinstance(incumbent, Incumbent):
        ours = Model(exported.classify, exported.labels, answers.probabilities)
        robustness = RobustnessAnswers(places=tried, pixels=pixels[tried], answers=corrupted)
        beside = compare_figures(incumbent, ours, test.photos, truth, robustness, seed=seed)
    return Assessment(
        evaluation=evaluate(truth, answered, exported.labels),
        auroc={
            label: auroc(truth == place, answers.probabilities[:, place]) for place, label in enumerate(exported.labels)
        },
        calibration=calibrate(answers.probabilities, truth, temperature),
        threshold=threshold,
        decision=decision,
        slices=measure_slices(test.photos, answered == truth),
        robustness=measure_robustness(
            corrupted.map(lambda each: decided(each, exported.labels, decision)), truth[tried]
        ),
        consistency=measure_consistency(answer_all, pixels[tried]),
        latency=measure_latency(exported.classify, pixels, calls=checks.calls),
        comparison=compare(incumbent, truth, answers.probabilities) if incumbent else None,
        beside=beside,
        unseen_groups=_unseen_groups(test, answers.embedding, learned, temperature.value),
        lost=lost,
        gained=gained,
        errors=gallery.errors(),
        samples=gallery.samples(),
        corrupted=_corrupted(gallery.typical(), seed),
    )


def _threshold(
    exported: ExportedModel, checks: Checks, validate: LabelledPixels, probabilities: Probabilities, truth: Classes
) -> Threshold:
    """Choose it on the validation photos; the `probabilities` [N, C] of the test photos show what it changes."""
    positive = checks.positive_class(exported.labels)
    return choose_threshold(
        exported.classify(validate.pixels.numpy()),
        validate.targets.numpy(),
        probabilities,
        truth,
        place=positive,
        label=exported.labels[positive],
        costs=checks.costs,
    )


@dataclass(frozen=True)
class _Gallery:
    """Which test photos a person is shown, and each with what the model says of it."""

    photos: Sequence[Photo]
    labels: tuple[str, ...]
    answers: Answers
    answered: Classes
    truth: Classes
    picture: Callable[[Photo], Pixels]

    def errors(self) -> tuple[GalleryPhoto, ...]:
        """Returns wrong answers, the most confident ones first."""
        return tuple(self._show(place, int(self.answered[place])) for place in self._wrong())

    def samples(self) -> tuple[GalleryPhoto, ...]:
        """Returns right answers, spread evenly over the test split."""
        return tuple(self._show(place, int(self.answered[place])) for place in self._right())

    def flipped(
        self, incumbent: Incumbent | NotCompared | None
    ) -> tuple[tuple[GalleryPhoto, ...], tuple[GalleryPhoto, ...]]:
        """Returns photos that only the other model gets right, and photos that only this one does."""
        if not isinstance(incumbent, Incumbent):
            return (), ()
        theirs = incumbent.probabilities
        likeliest = self.answers.probabilities.argmax(axis=1)
        lost, gained = (
            tuple(self._show(int(place), int(likeliest[place]), theirs[place]) for place in places[:MOST_FLIPPED])
            for places in flipped(incumbent, self.truth, self.answers.probabilities)
        )
        return lost, gained

    def typical(self) -> Pixels:
        """Returns the photo that is shown as it is made worse: one that is answered right, if there is any."""
        return self.picture(self.photos[(self._right() or self._wrong())[0]])

    def _wrong(self) -> list[int]:
        wrong = np.flatnonzero(self.answered != self.truth)
        confidence = self.answers.probabilities[wrong, self.answered[wrong]]
        return wrong[np.argsort(-confidence, kind="stable")][:MOST_ERRORS].tolist()

    def _right(self) -> list[int]:
        right = np.flatnonzero(self.answered == self.truth)
        return right[np.linspace(0, len(right) - 1, min(MOST_SAMPLES, len(right))).astype(int)].tolist()

    def _show(self, place: int, answer: int, theirs: Probabilities | None = None) -> GalleryPhoto:
        photo = self.photos[place]
        return gallery_photo(
            photo,
            self.picture(photo),
            answer=self.labels[answer],
            confidence=float(self.answers.probabilities[place, answer]),
            activation=self.answers.activation_map[place, answer],
            theirs=None if theirs is None else (self.labels[int(theirs.argmax())], float(theirs.max())),
        )


def _unseen_groups(
    test: LabelledPixels, embedding: Numbers, learned: Learned | None, temperature: float
) -> tuple[UnseenGroups, ...]:
    """Where only the linear layer was learned, it is learned again without each group, from the photos that it saw."""
    if learned is None or learned.embeddings is None:
        return measure_unseen_groups(test.photos, embedding, test.targets.numpy())
    known = learned.embeddings
    return measure_unseen_groups(
        known.photos,
        known.embedding.float().numpy(),
        known.targets.numpy(),
        penalty=learned.penalty,
        temperature=temperature,
    )


def decided(probabilities: Probabilities, labels: tuple[str, ...], decision: Decision | None) -> Classes:
    """Returns the answers [N] as serving computes them."""
    if decision is None:
        return probabilities.argmax(axis=1)
    return np.array([decide(scores, labels, decision) for scores in probabilities.tolist()], dtype=np.int64)


def _corrupted(pixels: Pixels, seed: int) -> dict[str, tuple[str, ...]]:
    return {
        name: tuple(data_uri(corrupt(pixels, severity, seed)) for severity in SEVERITIES)
        for name, corrupt in CORRUPTIONS.items()
    }


def _bounded(name: str, value: float, interval: Interval) -> dict[str, float]:
    return {name: value, f"{name}_low": interval[0], f"{name}_high": interval[1]}
