"""Gives a version its output `strangeness` and its record of abstention, before it is assessed."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from registry.abstention import BACKGROUND, Abstention
from registry.decision import Decision
from training.dataset.manifest import Photo
from training.evaluation.abstention import (
    COVERAGE,
    LEAST_GROUPS,
    Abstained,
    Classes,
    NotCalibrated,
    calibrate,
    conformal_quantile,
    left_out_strangeness,
    measure,
)
from training.evaluation.unseen_groups import columns
from training.export import ExportedModel, Numbers
from training.pixels import LabelledPixels
from training.strangeness import Subspace, add_output, fit_subspace

MOST_PHOTOS: Final = 2000
"""Of training, that the subspace is fitted on; evenly spread over the split."""


@dataclass(frozen=True, kw_only=True)
class Calibrated:
    """What calibration made of the training and validation photos."""

    record: Abstention | NotCalibrated
    subspace: Subspace
    embedding: Numbers  # of the photos that the subspace was fitted on
    groups: tuple[str | None, ...] | None  # theirs, in the record's column

    @property
    def abstention(self) -> Abstention | None:
        """The record, where there is one."""
        return self.record if isinstance(self.record, Abstention) else None

    @property
    def because(self) -> str:
        """Why there is none; empty where there is."""
        return self.record.because if isinstance(self.record, NotCalibrated) else ""


def calibrate_model(path: Path, exported: ExportedModel, learn: LabelledPixels, validate: LabelledPixels) -> Calibrated:
    """Add the output to the file at `path`, which `exported` has open, and calibrate on photos left out.

    The column of groups that asks for the most tolerance is taken. Classes without visitors are left out: their photos
    are to be strange.
    """
    shown = _with_visitors(exported.labels, learn.targets.numpy())
    places = shown[np.linspace(0, len(shown) - 1, min(MOST_PHOTOS, len(shown))).astype(int)]
    embedding = exported.explain(learn.pixels.numpy()[places]).embedding
    subspace = fit_subspace(embedding)
    add_output(path, subspace)
    photos = [learn.photos[place] for place in places]
    scores, column, groups = left_out_strangeness(embedding, None), "", None
    for name, values in _grouping(photos).items():
        found = left_out_strangeness(embedding, values)
        error = (1 - COVERAGE) / 2
        if not column or conformal_quantile(found, error) > conformal_quantile(scores, error):
            scores, column, groups = found, name, tuple(values)
    record = calibrate(
        strangeness=scores,
        probabilities=exported.classify(validate.pixels.numpy()),
        truth=validate.targets.numpy(),
        labels=exported.labels,
        grouped_by=column,
        groups=len({group for group in groups if group is not None}) if groups else 0,
    )
    return Calibrated(record=record, subspace=subspace, embedding=embedding, groups=groups)


def measure_model(
    calibrated: Calibrated, exported: ExportedModel, test: LabelledPixels, decision: Decision | None
) -> dict[str, float]:
    """Give the figures of test photos by name; those of groups never seen too, where there are groups.

    For the latter the subspace is fitted again without the photo's group; the network and its last layer are not, so
    the coverage is an upper limit. Empty where the version cannot abstain.
    """
    abstention = calibrated.abstention
    shown = _with_visitors(exported.labels, test.targets.numpy())
    if abstention is None or not len(shown):
        return {}
    answers, truth = exported.explain(test.pixels.numpy()[shown]), test.targets.numpy()[shown]

    def told(strangeness: Numbers) -> Abstained:
        return measure(
            abstention,
            strangeness=strangeness,
            probabilities=answers.probabilities,
            truth=truth,
            labels=exported.labels,
            decision=decision,
        )

    figures = told(calibrated.subspace.strangeness(answers.embedding)).metrics()
    if calibrated.groups is not None:
        values = columns([test.photos[place] for place in shown])[abstention.grouped_by]
        unseen = told(_unseen(calibrated, answers.embedding, values))
        figures |= {"abstention_coverage_unseen": unseen.obtained, "abstention_kept_unseen": unseen.kept}
    return figures


def _unseen(calibrated: Calibrated, embedding: Numbers, groups: Sequence[str | None]) -> Numbers:
    """Give the strangeness of photos by subspaces that never saw their groups."""
    learned = np.array([group or "" for group in calibrated.groups or ()])
    wanted = np.array([group or "" for group in groups])
    strangeness = calibrated.subspace.strangeness(embedding)
    for group in np.unique(wanted[wanted != ""]):
        others = learned != group
        if others.any():
            inside = wanted == group
            strangeness[inside] = fit_subspace(calibrated.embedding[others]).strangeness(embedding[inside])
    return strangeness


def _with_visitors(labels: Sequence[str], truth: Classes) -> Classes:
    """Give the places of photos whose class shows a visitor."""
    visitors = [place for place, label in enumerate(labels) if label not in BACKGROUND]
    return np.flatnonzero(np.isin(truth, visitors)).astype(np.int64)


def _grouping(photos: Sequence[Photo]) -> dict[str, list[str | None]]:
    """Give the columns that have enough groups to leave some out."""
    return {
        name: values
        for name, values in columns(photos).items()
        if len({value for value in values if value is not None}) >= LEAST_GROUPS
    }
