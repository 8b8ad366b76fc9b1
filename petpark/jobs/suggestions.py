"""Suggestions for a model that failed gates, as commands.

A gate's own advice (`training.evaluation.gates`) says what to check. Here the job that was run is taken up again,
with more photos, with other parameters, or from the weights that it ended with.
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
"""In a command: the folder, prefix or archive with the photos that there were, and those that are new."""
NEW: Final = "NEW"
"""In a command: the dataset that came of it."""

_LEARNING = frozenset({"accuracy", "recall", "slice_gap", "robustness_drop"})
"""Gates that a model may pass when it continues learning."""
_SEEING = frozenset({"accuracy", "recall", "slice_gap"})
"""Gates that more photos help with: by what a model learns from them, and by a narrower interval."""

_AGAINST: Final[Mapping[str, str]] = {
    "night": "infrared",
    "blur": "blur",
    "motion blur": "blur",
    "JPEG": "jpeg",
    "glare": "glare",
    "bars": "bars",
    "low resolution": "blur",
}
"""Corruption -> the share of training photos that look like that."""

type _Change = Callable[["HyperParameters", "Judgement"], dict[str, object]]


@dataclass(frozen=True, kw_only=True)
class Suggestion:
    """Something to try."""

    what: str
    command: str


@dataclass(frozen=True, kw_only=True)
class JobDefaults:
    """Default settings, which need not be repeated."""

    parameters: HyperParameters
    evaluation: EvaluationPlan
    seed: int = 0
    max_minutes: int = 60


def remedies(spec: JobSpec, judgement: Judgement, usual: JobDefaults) -> list[Suggestion]:
    """What to try about the gates that the job's version failed; empty if there are none.

    What was done already is not advised again: a job that began with the weights in prod does not begin there again.
    """
    failed = {verdict.name for verdict in judgement.failed}
    whole = not spec.hyper_parameters.frozen  # a linear layer alone would come out again from any weights
    dataset, version = spec.dataset[:12], judgement.version
    found: list[Suggestion] = []
    if failed & _SEEING:
        ingest = _line("petpark", "data", "ingest", PHOTOS, "--base", dataset)
        again = _train(spec, usual, dataset=NEW, weights=version if whole and failed & _LEARNING else None)
        found.append(Suggestion(what="more photos", command=f"{ingest} && {again}"))
    parameters = _parameters(spec, judgement, failed)
    checks = {"int8": 1} if "milliseconds" in failed and not _in_eight_bits(spec) else {}
    if parameters or checks:
        command = _train(spec, usual, dataset=dataset, parameters=parameters, checks=checks)
        found.append(Suggestion(what="other parameters", command=command))
    if whole and failed & _LEARNING:
        slower = {"learning_rate": spec.hyper_parameters.learning_rate / 4}
        command = _train(spec, usual, dataset=dataset, parameters=slower, weights=version)
        found.append(Suggestion(what="continue from its weights", command=command))
    began_there = judgement.continued and judgement.incumbent is not None
    if whole and "not_worse_than_prod" in failed and began_there:
        gentler = {"learning_rate": spec.hyper_parameters.learning_rate / 4}
        command = _train(spec, usual, dataset=dataset, parameters=gentler, weights=judgement.incumbent)
        found.append(Suggestion(what="from the weights in prod, more gently", command=command))
    elif whole and "not_worse_than_prod" in failed and judgement.incumbent is not None:
        command = _train(spec, usual, dataset=dataset, weights=judgement.incumbent)
        found.append(Suggestion(what="start from the weights in prod", command=command))
    if failed or judgement.unmeasured:
        found.append(Suggestion(what="look at its errors", command=_line("petpark", "models", "report", version)))
    return found


def _parameters(spec: JobSpec, judgement: Judgement, failed: set[str]) -> dict[str, object]:
    """The suggested changes of the recipe; if two gates disagree, the first one wins."""
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
    return {"light": _more(used.light), "greyscale": _more(used.greyscale), "crop_scale": _harder(used)}


def _humbler_or_surer(used: HyperParameters, judgement: Judgement) -> dict[str, object]:
    if judgement.temperature is not None and judgement.temperature < 1:
        return {"label_smoothing": 0.0, "mixup": 0.0}
    return {"label_smoothing": _more(used.label_smoothing)}


def _tougher(used: HyperParameters, judgement: Judgement) -> dict[str, object]:
    name = _AGAINST.get(judgement.weakest or "", "blur")
    return {name: _more(getattr(used, name))}


def _larger(used: HyperParameters, _judgement: Judgement) -> dict[str, object]:
    return {"image_size": math.ceil(used.image_size * 1.5 / 8) * 8, "crop_scale": _harder(used)}


_CHANGES: Final[Mapping[str, _Change]] = {
    "accuracy": _longer,
    "recall": _balanced,
    "slice_gap": _varied,
    "calibration_error": _humbler_or_surer,
    "robustness_drop": _tougher,
    "consistency": _larger,
}


_LARGER: Final[Mapping[str, str]] = {
    "efficientnet_lite0": "efficientnet_lite1",
    "efficientnet_lite1": "efficientnet_lite2",
}
"""Network -> the next larger one that knows ImageNet from the same source."""


def _next_network(used: HyperParameters, _judgement: Judgement) -> dict[str, object]:
    return {"architecture": _LARGER[used.architecture]} if used.architecture in _LARGER else {}


def _balanced_layer(used: HyperParameters, judgement: Judgement) -> dict[str, object]:
    return {**_next_network(used, judgement), "class_balance": 1.0}


def _varied_views(used: HyperParameters, judgement: Judgement) -> dict[str, object]:
    """Views from the third on are crops in other light."""
    return {"views": _VIEWS, **_varied(used, judgement)}


def _tougher_views(used: HyperParameters, judgement: Judgement) -> dict[str, object]:
    return {"views": _VIEWS, **_tougher(used, judgement)}


_VIEWS: Final = 8
_CHANGES_OF_A_LAYER: Final[Mapping[str, _Change]] = {
    "accuracy": _next_network,
    "recall": _balanced_layer,
    "slice_gap": _varied_views,
    "robustness_drop": _tougher_views,
    "consistency": _larger,
}
"""Likewise, where a linear layer alone is learned: it has no epochs."""


def _more(share: float) -> float:
    """Half as much again, and at least a tenth; a share stays one."""
    return round(min(1.0, max(0.1, 1.5 * share)), 2)


def _harder(used: HyperParameters) -> float:
    return round(max(0.3, used.crop_scale - 0.2), 2)


def _train(
    spec: JobSpec,
    usual: JobDefaults,
    *,
    dataset: str,
    parameters: Mapping[str, object] | None = None,
    checks: Mapping[str, object] | None = None,
    weights: int | None = None,
) -> str:
    """The command for the same job with these changes."""
    from training.hyper_parameters import idle

    changed = {**asdict(spec.hyper_parameters), **(parameters or {})}
    unread = frozenset(idle(spec.hyper_parameters, changed))  # petpark train refuses what changes nothing
    tested = {**asdict(spec.evaluation.checks), **(checks or {})}
    # Twice the epochs take twice the time.
    minutes = spec.max_seconds // 60 * (2 if "epochs" in (parameters or {}) else 1)
    words: list[object] = ["petpark", "train", "--dataset", dataset]
    words += _options("--set", {n: v for n, v in changed.items() if n not in unread}, asdict(usual.parameters))
    words += _options("--gate", _stricter(spec.evaluation.gates, usual.evaluation.gates), {})
    words += _options("--check", tested, asdict(usual.evaluation.checks))
    words += ["--seed", spec.seed] if spec.seed != usual.seed else []
    words += ["--max-minutes", minutes] if minutes != usual.max_minutes else []
    words += ["--weights", weights] if weights is not None else []
    return _line(*words, "--watch")


def _stricter(requested: Gates, required: Gates) -> dict[str, object]:
    """Gates of a job that are stricter than the stack's now."""
    holds: Mapping[str, float] = asdict(required)
    return {name: value for name, value in asdict(requested).items() if MODEL_GATES[name].loosens(value, holds[name])}


def _options(option: str, values: Mapping[str, object], usual: Mapping[str, object]) -> list[object]:
    changed = {name: value for name, value in values.items() if value != usual.get(name)}
    return [word for name, value in changed.items() for word in (option, f"{name}={value}")]


def _line(*words: object) -> str:
    return shlex.join(str(word) for word in words)
