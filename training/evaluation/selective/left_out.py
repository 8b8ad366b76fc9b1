"""Answers to photos whose groups were left out of all that can be learned again quickly.

That is where training photos lie in the embedding (`training.networks.strangeness`), and the linear layer where it is
all that the job learned. A fold is a tenth of the groups; a photo of a group is answered by what saw none of its fold.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import numpy.typing as npt
import torch

from training.evaluation.figures.calibration import Classes
from training.networks.export import Numbers
from training.networks.head import Head, learn_head
from training.networks.strangeness import Subspace, fit_subspace

FOLDS: Final = 10

type Groups = Sequence[str | None]
type _Places = npt.NDArray[np.intp]


@dataclass(frozen=True, kw_only=True)
class LinearLayer:
    """How a job learned the linear layer on frozen embeddings."""

    penalty: float
    temperature: float
    classes: int


@dataclass(frozen=True, kw_only=True)
class _Fold:
    subspace: Subspace
    head: Head | None  # None: the network was trained, or a class occurs in this fold alone


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """What was learned without each fold of groups."""

    folds: tuple[_Fold, ...]
    fold_of: dict[str, int]  # group -> its fold
    layer: LinearLayer | None
    strangeness: Numbers  # [N], of the photos that all was learned from, each by what did not see its fold
    probabilities: Numbers | None  # [N, classes], likewise; None if the linear layer cannot be learned again

    @classmethod
    def learn(
        cls, embedding: Numbers, truth: Classes, groups: Groups, shown: npt.NDArray[np.bool_], layer: LinearLayer | None
    ) -> Self:
        """Learn from embeddings [N, D], classes [N] and groups [N]; photos without a group are one of their own.

        `shown` [N]: which photos show a visitor; only these define what is not strange.
        """
        names = np.array([f"photo {n}" if group is None else f"group {group}" for n, group in enumerate(groups)])
        unique, codes = np.unique(names, return_inverse=True)
        fold_of_code = np.random.default_rng(0).permutation(len(unique)) % FOLDS
        places = fold_of_code[codes]
        folds = tuple(_learn_without(places == fold, embedding, truth, shown, layer) for fold in range(FOLDS))
        strangeness = _by_fold(folds, places, embedding)
        return cls(
            folds=folds,
            fold_of=dict(zip(unique.tolist(), fold_of_code.tolist(), strict=True)),
            layer=layer,
            strangeness=strangeness,
            probabilities=_probabilities(folds, places, embedding, layer),
        )

    def answer(
        self, embedding: Numbers, groups: Groups, strangeness: Numbers, probabilities: Numbers
    ) -> tuple[Numbers, Numbers]:
        """Returns strangeness [N] and probabilities [N, classes] of other photos by what did not see their groups.

        For photos of groups that nothing saw, or of none, they are those of the version itself, which are given.
        """
        places = np.array([self.fold_of.get(f"group {group}", -1) for group in groups], dtype=np.intp)
        known = places >= 0
        strangeness, probabilities = strangeness.copy(), probabilities.copy()
        if known.any():
            strangeness[known] = _by_fold(self.folds, places[known], embedding[known])
            known_probabilities = _probabilities(self.folds, places[known], embedding[known], self.layer)
            if known_probabilities is not None:
                probabilities[known] = known_probabilities
        return strangeness, probabilities


def _learn_without(
    inside: npt.NDArray[np.bool_],
    embedding: Numbers,
    truth: Classes,
    shown: npt.NDArray[np.bool_],
    layer: LinearLayer | None,
) -> _Fold:
    rest = shown & ~inside
    subspace = fit_subspace(embedding[rest] if rest.any() else embedding[shown])
    head = None
    if layer is not None and len(np.unique(truth[~inside])) == layer.classes:
        rows, targets = torch.from_numpy(embedding[~inside]), torch.from_numpy(truth[~inside])
        head = learn_head(rows, targets, layer.classes, penalty=layer.penalty)
    return _Fold(subspace=subspace, head=head)


def _by_fold(folds: Sequence[_Fold], places: _Places, embedding: Numbers) -> Numbers:
    found = np.zeros(len(embedding), dtype=np.float32)
    for place, fold in enumerate(folds):
        found[places == place] = fold.subspace.strangeness(embedding[places == place])
    return found


def _probabilities(
    folds: Sequence[_Fold], places: _Places, embedding: Numbers, layer: LinearLayer | None
) -> Numbers | None:
    if layer is None:
        return None
    found = np.zeros((len(embedding), layer.classes), dtype=np.float32)
    for place, fold in enumerate(folds):
        if fold.head is None:
            return None
        logits = fold.head.logits(torch.from_numpy(embedding[places == place])) / layer.temperature
        found[places == place] = logits.softmax(dim=1).numpy()
    return found
