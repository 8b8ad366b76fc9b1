"""Quality gates. Each compares the bound that is against the model, and a failed one says what to try."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Final

from registry.gates import MODEL_GATES, PREFIX, UNMEASURED
from training.evaluation.assess import Assessment
from training.evaluation.baseline.comparison import Comparison, left_out
from training.evaluation.figures.calibration import Calibration
from training.evaluation.figures.slices import LEAST_PHOTOS, worst
from training.evaluation.reporting.formatting import percent
from training.plan import Gates

TO_MEASURE: Final[Mapping[str, str]] = {
    "slice_gap": "More test photos, an index that names cameras and times (petpark data ingest --index FILE), or "
    "slice_gap: 1 in petpark:gates, which requires nothing"
}
"""What to do if a gate cannot be measured."""

_MORE_PHOTOS: Final = "More test photos narrow the interval: ingest more, and the bound moves without another training."


@dataclass(frozen=True, kw_only=True)
class GateResult:
    """How a version did at one gate."""

    name: str  # field of Gates
    passed: bool
    asked: str  # what the gate requires
    found: str  # what the version shows
    why: str  # by how much it passed or failed
    advice: str  # what to try; empty for a passed gate
    measured: bool = True  # False: not passed; `why` has the reason


def judge(gates: Gates, assessment: Assessment, abstained: Mapping[str, float] | None = None) -> tuple[GateResult, ...]:
    """Hold a version against every gate that applies to it.

    One that cannot be measured is not passed, with the reason. A gate that requires nothing (a slice gap of 1, a `luck`
    or `milliseconds` of 0) cannot be failed and needs no measure; with nothing in prod there is nothing to be worse
    than. `abstained` are the figures of abstention; None or empty where the version cannot abstain.
    """
    limits: dict[str, float] = asdict(gates)
    results = (measure(limits[name], assessment) for name, measure in _MEASURES.items())
    return (*filter(None, results), *judge_abstention(gates, abstained or {}))


def as_metrics(results: Iterable[GateResult]) -> dict[str, float]:
    """Returns for each gate whether it was passed and measured, as metrics of a version."""
    told = list(results)
    return {PREFIX + result.name: float(result.passed) for result in told} | {
        UNMEASURED + result.name: 1.0 for result in told if not result.measured
    }


def _accuracy(limit: float, assessment: Assessment) -> GateResult:
    evaluation = assessment.evaluation
    return _least(
        "accuracy", "accuracy", evaluation.accuracy_interval[0], limit, evaluation.accuracy,
        "Look at its errors first: wrong labels and classes that look alike need other photos, everything else more "
        f"epochs, larger photos or pretrained weights. {_MORE_PHOTOS}",
    )  # fmt: skip


def _recall(limit: float, assessment: Assessment) -> GateResult:
    rarest = min(assessment.evaluation.classes, key=lambda figures: figures.recall_interval[0])
    return _least(
        "recall", f"photos of “{rarest.label}” found", rarest.recall_interval[0], limit, rarest.recall,
        f"Add photos of “{rarest.label}”, above all of the kind that it misses below. {_MORE_PHOTOS}",
    )  # fmt: skip


def _slice_gap(limit: float, assessment: Assessment) -> GateResult | None:
    if slice_ := worst(assessment.slices):
        return _most(
            "slice_gap", f"how far {slice_.column} {slice_.value} is behind all other photos",
            slice_.gap_interval[1], limit, slice_.gap,
            f"Add photos like these ({slice_.column} {slice_.value}: {slice_.photos} test photos), or make training "
            "photos look like them by augmentation (light, greyscale, blur, crop_scale).",
        )  # fmt: skip
    if MODEL_GATES["slice_gap"].is_off(limit):
        return None
    return _unmeasured(
        "slice_gap", f"how far any slice is behind all other photos: at most {percent(limit)}",
        f"no property parts the {assessment.evaluation.photos} test photos into groups of {LEAST_PHOTOS} or more",
        f"{TO_MEASURE['slice_gap']}.",
    )  # fmt: skip


def _calibration_error(limit: float, assessment: Assessment) -> GateResult:
    calibration = assessment.calibration
    return _most(
        "calibration_error", "distance of confidence from accuracy", calibration.error, limit, None,
        f"{_of_temperature(calibration)} More validation photos fit it better; less label smoothing or mix-up makes a "
        "model surer, more makes it humbler.",
    )  # fmt: skip


def _robustness_drop(limit: float, assessment: Assessment) -> GateResult:
    robustness = assessment.robustness
    return _most(
        "robustness_drop", "accuracy lost when pictures get worse", robustness.drop_interval[1], limit, robustness.drop,
        f"{robustness.weakest.capitalize()} costs most: train with more of it (blur, light, greyscale, crop_scale).",
    )  # fmt: skip


def _consistency(limit: float, assessment: Assessment) -> GateResult:
    consistency = assessment.consistency
    return _least(
        "consistency", "photos whose answer stays when moved or encoded again", consistency.interval[0], limit,
        consistency.share,
        "Larger photos (image_size) and harder crops (crop_scale) make answers hang less on single pixels.",
    )  # fmt: skip


def _luck(limit: float, assessment: Assessment) -> GateResult | None:
    return _compared(assessment.comparison, limit) if assessment.comparison and limit else None


def _milliseconds(limit: float, assessment: Assessment) -> GateResult | None:
    if not limit:
        return None
    slow = assessment.latency.p99 > limit
    return GateResult(
        name="milliseconds",
        passed=not slow,
        asked=f"one photo in at most {limit:g} ms, 99 times of 100",
        found=f"{assessment.latency.p99:.2f} ms",
        why=f"{abs(assessment.latency.p99 - limit):.2f} ms {'too slow' if slow else 'to spare'}",
        advice="Smaller photos (image_size), a smaller architecture, or eight bits (--check int8=1)." if slow else "",
    )


_MEASURES: Final[Mapping[str, Callable[[float, Assessment], GateResult | None]]] = {
    "accuracy": _accuracy,
    "recall": _recall,
    "slice_gap": _slice_gap,
    "calibration_error": _calibration_error,
    "robustness_drop": _robustness_drop,
    "consistency": _consistency,
    "luck": _luck,
    "milliseconds": _milliseconds,
}
"""Gate to what a version shows at it; None if it does not apply."""

_OF_GROUPS: Final = f"More photos of more groups: the limit of strangeness is set on groups left out. {_MORE_PHOTOS}"
_STRANGERS: Final = (
    "Frames without visitors as a class `background` (petpark camera collect), or weights that know more."
)
_OF_ABSTENTION: Final[Mapping[str, tuple[str, str]]] = {
    "abstention_coverage": ("answers that contain the photo's class, when abstaining", _OF_GROUPS),
    "abstention_kept": ("photos of the classes that are not called “neither”", _OF_GROUPS),
    "abstention_refused_far": ("noise and plain colours called “neither”", _STRANGERS),
    "abstention_refused_near": ("shuffled photos called “neither”", _STRANGERS),
}
"""Gate to its requirement and what to try; its figure has its name."""

MEASURED: Final = frozenset({*_MEASURES, *_OF_ABSTENTION})
"""The gates that are judged here: all that `registry.gates.ModelGates` declares."""


def judge_abstention(gates: Gates, abstained: Mapping[str, float]) -> Iterable[GateResult]:
    """Compare the figures of abstention with the gates that are on."""
    limits: dict[str, float] = asdict(gates)
    for name, (what, advice) in _OF_ABSTENTION.items():
        limit = limits[name]
        if not limit:
            continue
        key = f"{name}_unseen" if f"{name}_unseen" in abstained else name
        value, bound = abstained.get(key), abstained.get(f"{key}_low")
        if "refused" not in name:  # groups vary together, so their interval is over groups
            what = f"{what}, {'on test photos, since there are no groups' if key == name else 'of groups left out'}"
        if value is None or bound is None:
            yield _unmeasured(
                name, f"{what}: at least {percent(limit)}", "the version cannot abstain",
                "Each class needs 39 photos that it was not learned from; the job's log says which has fewer.",
            )  # fmt: skip
            continue
        yield _least(name, what, bound, limit, value, advice)


def _compared(comparison: Comparison, luck: float) -> GateResult:
    name = "not_worse_than_prod"
    other = "what is" if comparison.version is None else f"version {comparison.version}"
    asked = f"not worse than {other} in prod, beyond luck (p < {luck:g})"
    if comparison.unmeasured:
        return _unmeasured(
            name, asked, comparison.unmeasured,
            "Look at the channel and at what it names: petpark models history --channel prod; petpark models fsck."
            if comparison.version is None
            else f"Test both on photos that neither learned from: petpark test FOLDER --version {comparison.version}. "
            "Photos ingested upon the dataset of the version in prod (--base) keep their splits, and can be compared.",
        )  # fmt: skip
    worse = comparison.only_theirs > comparison.only_ours and comparison.p_value < luck
    if not worse:
        advice = ""
    elif comparison.continued:
        advice = (
            f"Keep {other}: this one went on from its weights and lost by it. A lower learning rate, fewer epochs, or "
            "more photos; training on from there again as it was will not help."
        )
    else:
        advice = f"Keep {other}, or start from its weights (--weights {comparison.version})."
    without = f"; {left_out(comparison)}" if comparison.left_out else ""
    return GateResult(
        name=name,
        passed=not worse,
        asked=asked,
        found=f"p = {comparison.p_value:.3g} on {comparison.photos} photos{without}",
        why=f"{comparison.only_ours} photos only this version gets right, {comparison.only_theirs} only {other}",
        advice=advice,
    )


def _unmeasured(name: str, asked: str, because: str, advice: str) -> GateResult:
    return GateResult(
        name=name, passed=False, asked=asked, found="not measured", why=because, advice=advice, measured=False
    )


def _of_temperature(calibration: Calibration) -> str:
    temperature = calibration.temperature
    if temperature.kept_because:
        return f"No temperature was applied: {temperature.kept_because}."
    return f"A temperature of {temperature.value:.2f} is in it, without which it were {calibration.error_before:.3f}."


def _least(name: str, what: str, bound: float, limit: float, value: float, advice: str) -> GateResult:
    passed = bound >= limit
    return GateResult(
        name=name,
        passed=passed,
        asked=f"{what}: at least {percent(limit)}",
        found=f"{percent(bound)} (lower bound; measured {percent(value)})",
        why=f"{abs(bound - limit) * 100:.1f} points {'to spare' if passed else 'missing'}",
        advice="" if passed else advice,
    )


def _most(name: str, what: str, bound: float, limit: float, value: float | None, advice: str) -> GateResult:
    passed = bound <= limit
    measured = "" if value is None else f" (upper bound; measured {percent(value)})"
    return GateResult(
        name=name,
        passed=passed,
        asked=f"{what}: at most {percent(limit)}",
        found=f"{percent(bound)}{measured}",
        why=f"{abs(bound - limit) * 100:.1f} points {'to spare' if passed else 'too much'}",
        advice="" if passed else advice,
    )
