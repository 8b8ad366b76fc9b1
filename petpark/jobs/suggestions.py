"""Suggestions for a model that failed gates, as commands.

A gate's own advice (`training.evaluation.gates`) says what to check. The suggested commands repeat the job with more
photos, with other hyper-parameters, or from the weights that it produced.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from registry.gates import MODEL_GATES

if TYPE_CHECKING:
    from petpark.models.gates import Judgement
    from training.hyper_parameters import HyperParameters
    from training.job import JobSpec
    from training.plan import EvaluationPlan, Gates

PHOTOS: Final = "PHOTOS"
"""Placeholder in a command: folder, prefix or archive with the previous and the new photos."""
NEW: Final = "NEW"
"""Placeholder in a command: the dataset ingested from them."""

_HELPED_BY_TRAINING = frozenset({"accuracy", "recall", "slice_gap", "robustness_drop"})
"""Gates that a model may pass after more training."""
_HELPED_BY_PHOTOS = frozenset({"accuracy", "recall", "slice_gap"})
"""Gates that more photos help to pass: the model learns from them, and the interval is narrower."""

_AUGMENTATIONS: Final[Mapping[str, str]] = {
    "night": "infrared",
    "blur": "blur",
    "motion blur": "blur",
    "JPEG": "jpeg",
    "glare": "glare",
    "bars": "bars",
    "low resolution": "blur",
}
"""Corruption -> hyper-parameter with the share of training photos augmented like it."""

type _Change = Callable[["HyperParameters", "Judgement"], dict[str, object]]


@dataclass(frozen=True, kw_only=True)
class Suggestion:
    """A suggestion, and the command that follows it."""

    what: str
    command: str


@dataclass(frozen=True, kw_only=True)
class JobDefaults:
    """Default settings, which commands omit."""

    parameters: HyperParameters
    evaluation: EvaluationPlan
    seed: int = 0
    max_minutes: int = 60


def remedies(spec: JobSpec, judgement: Judgement, defaults: JobDefaults) -> list[Suggestion]:
    """Returns suggestions for the gates that the job's version failed; empty if it passed all.

    A job that started from the weights in prod is not told to do so again.
    """
    failed = {verdict.name for verdict in judgement.failed}
    trains_all = not spec.hyper_parameters.frozen  # a linear layer on a frozen network does not depend on its start
    dataset, version = spec.dataset[:12], judgement.version
    found: list[Suggestion] = []
    if failed & _HELPED_BY_PHOTOS:
        ingest = _line("petpark", "data", "ingest", PHOTOS, "--base", dataset)
        continued = version if trains_all and failed & _HELPED_BY_TRAINING else None
        train = _train(spec, defaults, dataset=NEW, weights=continued)
        found.append(Suggestion(what="more photos", command=f"{ingest} && {train}"))
    parameters = _parameters(spec, judgement, failed)
    checks = {"int8": 1} if "milliseconds" in failed and not _in_eight_bits(spec) else {}
    if parameters or checks:
        command = _train(spec, defaults, dataset=dataset, parameters=parameters, checks=checks)
        found.append(Suggestion(what="other parameters", command=command))
    lower_rate = {"learning_rate": spec.hyper_parameters.learning_rate / 4}
    if trains_all and failed & _HELPED_BY_TRAINING:
        command = _train(spec, defaults, dataset=dataset, parameters=lower_rate, weights=version)
        found.append(Suggestion(what="continue from its weights", command=command))
    if trains_all and "not_worse_than_prod" in failed and judgement.incumbent is not None and judgement.continued:
        command = _train(spec, defaults, dataset=dataset, parameters=lower_rate, weights=judgement.incumbent)
        found.append(Suggestion(what="a lower learning rate, from the weights in prod", command=command))
    elif trains_all and "not_worse_than_prod" in failed and judgement.incumbent is not None:
        command = _train(spec, defaults, dataset=dataset, weights=judgement.incumbent)
        found.append(Suggestion(what="start from the weights in prod", command=command))
    if failed or judgement.unmeasured:
        found.append(Suggestion(what="look at its errors", command=_line("petpark", "models", "report", version)))
    return found


def _parameters(spec: JobSpec, judgement: Judgement, failed: set[str]) -> dict[str, object]:
    """Returns the suggested hyper-parameters; if gates disagree, the first one wins."""
    changes: dict[str, object] = {}
    for gate, change in (_CHANGES_OF_A_LAYER if spec.hyper_parameters.frozen else _CHANGES).items():
        if gate in failed:
            changes = {**change(spec.hyper_parameters, judgement), **changes}
    if "milliseconds" in failed and _in_eight_bits(spec):
        changes = {"image_size": max(16, spec.hyper_parameters.image_size * 3 // 4), **changes}
    return {name: value for name, value in changes.items() if value != getattr(spec.hyper_parameters, name)}


def _in_eight_bits(spec: JobSpec) -> bool:
    return spec.evaluation.checks.in_eight_bits(spec.hyper_parameters.architecture)


def _longer(used: HyperParameters, _judgement: Judgement) -> dict[str, object]:
    return {"epochs": 2 * used.epochs}


def _balanced(used: HyperParameters, _judgement: Judgement) -> dict[str, object]:
    return {"epochs": 2 * used.epochs, "class_balance": 1.0}


def _varied(used: HyperParameters, _judgement: Judgement) -> dict[str, object]:
    return {"light": _more(used.light), "greyscale": _more(used.greyscale), "crop_scale": _smaller_crops(used)}


def _calibrated(used: HyperParameters, judgement: Judgement) -> dict[str, object]:
    if judgement.temperature is not None and judgement.temperature < 1:
        return {"label_smoothing": 0.0, "mixup": 0.0}
    return {"label_smoothing": _more(used.label_smoothing)}


def _augmented(used: HyperParameters, judgement: Judgement) -> dict[str, object]:
    name = _AUGMENTATIONS.get(judgement.weakest or "", "blur")
    return {name: _more(getattr(used, name))}


def _larger_images(used: HyperParameters, _judgement: Judgement) -> dict[str, object]:
    return {"image_size": math.ceil(used.image_size * 1.5 / 8) * 8, "crop_scale": _smaller_crops(used)}


_CHANGES: Final[Mapping[str, _Change]] = {
    "accuracy": _longer,
    "recall": _balanced,
    "slice_gap": _varied,
    "calibration_error": _calibrated,
    "robustness_drop": _augmented,
    "consistency": _larger_images,
}


_LARGER: Final[Mapping[str, str]] = {
    "efficientnet_lite0": "efficientnet_lite1",
    "efficientnet_lite1": "efficientnet_lite2",
}
"""Network -> the next larger one pretrained on ImageNet by the same source."""


def _next_network(used: HyperParameters, _judgement: Judgement) -> dict[str, object]:
    return {"architecture": _LARGER[used.architecture]} if used.architecture in _LARGER else {}


def _balanced_layer(used: HyperParameters, judgement: Judgement) -> dict[str, object]:
    return {**_next_network(used, judgement), "class_balance": 1.0}


def _varied_views(used: HyperParameters, judgement: Judgement) -> dict[str, object]:
    """Views from the third on are random crops with changed light."""
    return {"views": _VIEWS, **_varied(used, judgement)}


def _augmented_views(used: HyperParameters, judgement: Judgement) -> dict[str, object]:
    return {"views": _VIEWS, **_augmented(used, judgement)}


_VIEWS: Final = 8
_CHANGES_OF_A_LAYER: Final[Mapping[str, _Change]] = {
    "accuracy": _next_network,
    "recall": _balanced_layer,
    "slice_gap": _varied_views,
    "robustness_drop": _augmented_views,
    "consistency": _larger_images,
}
"""The same for a linear layer on a frozen network, which has no epochs."""


def _more(share: float) -> float:
    """Returns one and a half times a share, between 0.1 and 1."""
    return round(min(1.0, max(0.1, 1.5 * share)), 2)


def _smaller_crops(used: HyperParameters) -> float:
    return round(max(0.3, used.crop_scale - 0.2), 2)


def _train(
    spec: JobSpec,
    defaults: JobDefaults,
    *,
    dataset: str,
    parameters: Mapping[str, object] | None = None,
    checks: Mapping[str, object] | None = None,
    weights: int | None = None,
) -> str:
    """Returns the command for the same job with these changes."""
    from training.hyper_parameters import idle

    changed = {**asdict(spec.hyper_parameters), **(parameters or {})}
    unused = frozenset(idle(spec.hyper_parameters, changed))  # petpark train refuses settings without effect
    changed_checks = {**asdict(spec.evaluation.checks), **(checks or {})}
    # Twice the epochs take twice the time.
    minutes = spec.max_seconds // 60 * (2 if "epochs" in (parameters or {}) else 1)
    words: list[object] = ["petpark", "train", "--dataset", dataset]
    words += _options("--set", {n: v for n, v in changed.items() if n not in unused}, asdict(defaults.parameters))
    words += _options("--gate", _stricter(spec.evaluation.gates, defaults.evaluation.gates), {})
    words += _options("--check", changed_checks, asdict(defaults.evaluation.checks))
    words += ["--seed", spec.seed] if spec.seed != defaults.seed else []
    words += ["--max-minutes", minutes] if minutes != defaults.max_minutes else []
    words += ["--weights", weights] if weights is not None else []
    return _line(*words, "--watch")


def _stricter(requested: Gates, required: Gates) -> dict[str, object]:
    """Returns the job's gates that are stricter than the stack's current ones."""
    limits: Mapping[str, float] = asdict(required)
    return {name: value for name, value in asdict(requested).items() if MODEL_GATES[name].loosens(value, limits[name])}


def _options(option: str, values: Mapping[str, object], defaults: Mapping[str, object]) -> list[object]:
    changed = {name: value for name, value in values.items() if value != defaults.get(name)}
    return [word for name, value in changed.items() for word in (option, f"{name}={value}")]


def _line(*words: object) -> str:
    return shlex.join(str(word) for word in words)
