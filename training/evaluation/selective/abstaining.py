"""Adds to a version its output `strangeness` and its record of abstention, and measures what they do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from registry.versions.abstention import Abstention
from registry.versions.decision import Decision
from training.dataset.manifest import Photo
from training.evaluation.figures.calibration import Classes
from training.evaluation.figures.risk import RiskCoverage, refused_over_kept, risk_coverage
from training.evaluation.selective import made_strange
from training.evaluation.selective.abstention import (
    COVERAGE,
    Answered,
    NotCalibrated,
    Share,
    answer_all,
    calibrate,
    conformal_quantile,
    visitors,
)
from training.evaluation.selective.left_out import Groups, LeftOut, LinearLayer
from training.evaluation.selective.unseen_groups import columns, grouping
from training.fitting.frozen import Learned
from training.fitting.pixels import LabelledPixels
from training.networks.export import ExportedModel, Numbers
from training.networks.strangeness import Subspace, add_output, fit_subspace

MOST_PHOTOS: Final = 2000
"""Of training, that limits are calibrated on; evenly spread over the split."""

_COMPARED: Final = 64
"""Validation photos by which the file is compared with the network that gave the embeddings."""


@dataclass(frozen=True, kw_only=True)
class Calibrated:
    """What calibration made of the photos that a job learned from."""

    record: Abstention | NotCalibrated
    subspace: Subspace
    left_out: LeftOut
    exact: bool  # all that the job learned was learned again without the groups

    @property
    def abstention(self) -> Abstention | None:
        """The record, where there is one."""
        return self.record if isinstance(self.record, Abstention) else None

    @property
    def because(self) -> str:
        """Why there is none; empty where there is."""
        return self.record.because if isinstance(self.record, NotCalibrated) else ""


@dataclass(frozen=True, kw_only=True)
class AbstentionFigures:
    """What abstention does to photos of the classes, and to others."""

    asked: float  # coverage
    grouped_by: str  # the column of the shares of groups left out; empty: there are none
    exact: bool  # nothing of the job saw the groups left out; else the network did, and they are upper limits
    shares: Mapping[str, Share]
    """`coverage` (answers that hold the class), `kept`, `single`; `coverage_unseen` and `kept_unseen` of groups left
    out; `refused_far`, `refused_near` and, where a class shows no visitors, `refused_background`."""
    risk: RiskCoverage
    refusals: Mapping[str, tuple[tuple[float, float], ...]] = field(
        default_factory=dict[str, tuple[tuple[float, float], ...]]
    )
    """`far`, `near`, `background`: share refused at each share of test photos that is kept."""

    @property
    def served(self) -> dict[str, tuple[float, float]]:
        """Returns for each kind of strange picture the share of test photos kept and of these pictures refused."""
        kept = self.shares["kept"].value
        return {name: (kept, self.shares[f"refused_{name}"].value) for name in self.refusals}

    def metrics(self) -> dict[str, float]:
        """Returns the figures by name, as a version carries them."""
        found = {"abstention_coverage_asked": self.asked}
        for name, share in self.shares.items():
            found[f"abstention_{name}"] = share.value
            found[f"abstention_{name}_low"], found[f"abstention_{name}_high"] = share.interval
        return found


@dataclass(frozen=True, kw_only=True)
class _Known:
    """Photos that the job learned from, as limits are calibrated on them."""

    photos: Sequence[Photo]
    embedding: Numbers
    truth: Classes
    layer: LinearLayer | None


def calibrate_model(
    path: Path,
    exported: ExportedModel,
    learn: LabelledPixels,
    validate: LabelledPixels,
    *,
    learned: Learned,
    decision: Decision | None = None,
) -> Calibrated:
    """Add the output to the file at `path`, which `exported` has open, and calibrate on photos left out.

    They are left out by groups where a column groups them (`unseen_groups.grouping`), of several by the one that asks
    for the most tolerance. Photos of classes without visitors are to be strange, so no limit is calibrated on them.
    """
    known = _known(exported, learn, learned)
    shown = _shows_visitor(exported.labels, known.truth)
    subspace = fit_subspace(known.embedding[shown])
    add_output(path, subspace)
    column, groups = _chosen_column(known, shown)
    left_out = LeftOut.learn(known.embedding, known.truth, groups, shown, known.layer)
    probabilities, truth = left_out.probabilities, known.truth
    exact = probabilities is not None
    if probabilities is None:  # the network saw the training photos, but not these
        probabilities, truth = exported.classify(validate.pixels.numpy()), validate.targets.numpy()
    record = calibrate(
        strangeness=left_out.strangeness[shown] + _drift(exported, subspace, validate, learned),
        probabilities=probabilities,
        truth=truth,
        labels=exported.labels,
        decision=decision,
        grouped_by=column,
        groups=len({group for group in groups if group is not None}),
    )
    return Calibrated(record=record, subspace=subspace, left_out=left_out, exact=exact)


def measure_model(
    calibrated: Calibrated, exported: ExportedModel, test: LabelledPixels, decision: Decision | None, *, seed: int
) -> AbstentionFigures | None:
    """Returns the figures of test photos, of their groups left out, and of pictures of none of the classes.

    None if the version cannot abstain, or no test photo shows a visitor. `exported` has the finished file.
    """
    abstention = calibrated.abstention
    shown = np.flatnonzero(_shows_visitor(exported.labels, test.targets.numpy()))
    if abstention is None or not len(shown):
        return None
    pixels, truth = test.pixels.numpy(), test.targets.numpy()[shown]
    answers = exported.explain(pixels[shown])
    strangeness = calibrated.subspace.strangeness(answers.embedding)

    def told(strange: Numbers, probabilities: Numbers) -> Answered:
        return answer_all(
            abstention,
            strangeness=strange,
            probabilities=probabilities,
            truth=truth,
            labels=exported.labels,
            decision=decision,
        )

    usual = told(strangeness, answers.probabilities)
    shares = {"coverage": Share.of(usual.holds), "kept": Share.of(usual.kept), "single": Share.of(usual.single)}
    if abstention.grouped_by:
        groups = columns([test.photos[place] for place in shown])[abstention.grouped_by]
        unseen = told(*calibrated.left_out.answer(answers.embedding, groups, strangeness, answers.probabilities))
        shares |= {"coverage_unseen": Share.of(unseen.holds, groups), "kept_unseen": Share.of(unseen.kept, groups)}
    others = {
        "far": made_strange.far(exported.size, seed=seed),
        "near": made_strange.near(pixels[shown], seed=seed),
        **({"background": np.delete(pixels, shown, axis=0)} if len(shown) < len(pixels) else {}),
    }
    refusals: dict[str, tuple[tuple[float, float], ...]] = {}
    for name, pictures in others.items():
        found = exported.explain(pictures)
        strange = calibrated.subspace.strangeness(found.embedding)
        refused = ~answer_all(
            abstention,
            strangeness=strange,
            probabilities=found.probabilities,
            truth=np.zeros(len(pictures), dtype=np.int64),
            labels=exported.labels,
            decision=decision,
        ).kept
        shares[f"refused_{name}"] = Share.of(refused)
        always = refused & (strange <= abstention.strangeness)  # for their class
        refusals[name] = refused_over_kept(strangeness, strange, always=always, limit=abstention.strangeness)
    return AbstentionFigures(
        asked=abstention.coverage,
        grouped_by=abstention.grouped_by,
        exact=calibrated.exact,
        shares=shares,
        risk=risk_coverage(answers.probabilities, truth, kept=usual.kept, single=usual.single),
        refusals=refusals,
    )


def _known(exported: ExportedModel, learn: LabelledPixels, learned: Learned) -> _Known:
    """Take the embeddings that the linear layer was learned from, where it is all that was learned; else embed."""
    if learned.embeddings is None:
        places = _spread(len(learn))
        embedding = exported.explain(learn.pixels.numpy()[places]).embedding
        return _Known(
            photos=[learn.photos[place] for place in places],
            embedding=embedding,
            truth=learn.targets.numpy()[places],
            layer=None,
        )
    known = learned.embeddings
    places = _spread(len(known.photos))
    layer = LinearLayer(penalty=learned.penalty, temperature=exported.temperature, classes=len(exported.labels))
    return _Known(
        photos=[known.photos[place] for place in places],
        embedding=known.embedding[places].float().numpy(),
        truth=known.targets[places].numpy(),
        layer=layer,
    )


def _chosen_column(known: _Known, shown: npt.NDArray[np.bool_]) -> tuple[str, Groups]:
    """Choose whose groups are left out: of columns that group photos the one that asks for the most tolerance."""
    candidates = grouping(known.photos)
    if not candidates:
        return "", (None,) * len(known.photos)
    if len(candidates) == 1:
        return next(iter(candidates.items()))

    def tolerance(column: str) -> float:
        found = LeftOut.learn(known.embedding, known.truth, candidates[column], shown, None)
        return conformal_quantile(found.strangeness[shown], 1 - COVERAGE)

    column = max(candidates, key=tolerance)
    return column, candidates[column]


def _drift(exported: ExportedModel, subspace: Subspace, validate: LabelledPixels, learned: Learned) -> np.float32:
    """Returns by how much 8-bit quantisation raises the file's strangeness above that of the original network."""
    if learned.embeddings is None or not len(validate):
        return np.float32(0)
    count = min(_COMPARED, len(validate))
    kept = learned.embeddings.embedding[len(learned.embeddings.embedding) - len(validate) :][:count].float().numpy()
    served = exported.explain(validate.pixels.numpy()[:count]).embedding
    return np.float32((subspace.strangeness(served) - subspace.strangeness(kept)).mean())


def _spread(count: int) -> npt.NDArray[np.intp]:
    return np.linspace(0, count - 1, min(MOST_PHOTOS, count)).astype(np.intp)


def _shows_visitor(labels: Sequence[str], truth: Classes) -> npt.NDArray[np.bool_]:
    return np.isin(truth, visitors(labels))
