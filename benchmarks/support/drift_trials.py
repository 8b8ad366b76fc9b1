"""A version made of cached embeddings, its reference, and windows that are drawn from photos."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.support.shifted_photos import LABELS, Seen, Shift, ShiftedPhotos
from imaging import INPUT_STATISTICS
from monitoring.windows import Window
from registry.versions.reference import Reference
from training.evaluation.figures.corruptions import CORRUPTIONS
from training.evaluation.figures.temperature import choose_temperature
from training.networks.head import Head, choose_head
from training.networks.strangeness import Subspace, fit_subspace

KINDS: Final = tuple(CORRUPTIONS)
LEARNED: Final = 0.4  # of the photos: the linear layer and the subspace are fitted to these

type Numbers = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A linear layer on frozen embeddings, as a job fits it, and the photos that it did not see."""

    head: Head
    temperature: float
    subspace: Subspace
    others: Numbers  # places of the photos that neither layer nor subspace saw

    @classmethod
    def learn(cls, photos: ShiftedPhotos, seed: int, *, left_out: Numbers | None = None) -> Self:
        """Fit to a share of the photos that were not corrupted, and to none of `left_out` (places)."""
        rng = np.random.default_rng(seed)
        kept_back = np.union1d(photos.places, [] if left_out is None else left_out)
        free = rng.permutation(np.setdiff1d(np.arange(len(photos.truth)), kept_back))
        learn = free[: round(LEARNED * len(photos.truth))]
        held, learn = learn[: len(learn) // 5], learn[len(learn) // 5 :]

        def of(places: Numbers) -> tuple[torch.Tensor, torch.Tensor]:
            return torch.from_numpy(photos.clean.embedding[places]), torch.from_numpy(photos.truth[places])

        fit = choose_head(*of(learn), *of(held), len(LABELS))
        temperature = choose_temperature(fit.head.logits(of(held)[0]).numpy(), photos.truth[held]).value
        others = np.setdiff1d(np.arange(len(photos.truth)), np.concatenate([learn, held]))
        subspace = fit_subspace(photos.clean.embedding[learn])
        return cls(head=fit.head, temperature=temperature, subspace=subspace, others=others)

    def probabilities(self, seen: Seen) -> Numbers:
        """Returns the version's probabilities, float32 [N, K]."""
        logits = self.head.logits(torch.from_numpy(seen.embedding)) / self.temperature
        return logits.softmax(dim=1).numpy().astype(np.float32)

    def window(self, seen: Seen) -> Window:
        """Returns what an endpoint records."""
        return Window(
            probabilities=self.probabilities(seen),
            statistic_names=INPUT_STATISTICS,
            statistics=seen.statistics,
            strangeness=self.subspace.strangeness(seen.embedding),
            embedding=seen.embedding,
        )

    def reference(self, seen: Seen, truth: Numbers, worse: Sequence[tuple[Shift, Seen, Numbers]] = ()) -> Reference:
        """Returns the reference of photos, with corrupted copies: their corruption, what was seen, their classes."""
        spoilt = [each for _, each, _ in worse]
        return Reference(
            labels=LABELS,
            statistic_names=INPUT_STATISTICS,
            kinds=KINDS,
            probabilities=self.probabilities(seen),
            truth=truth.astype(np.uint16),
            embedding=seen.embedding.astype(np.float16),
            statistics=seen.statistics,
            strangeness=self.subspace.strangeness(seen.embedding),
            mean=self.subspace.mean,
            components=self.subspace.components,
            worse_probabilities=_joined([self.probabilities(each) for each in spoilt], np.empty((0, len(LABELS)))),
            worse_truth=_joined([truth for _, _, truth in worse], np.empty(0)).astype(np.uint16),
            worse_strangeness=_joined([self.subspace.strangeness(each.embedding) for each in spoilt], np.empty(0)),
            worse_kind=np.repeat(
                np.array([KINDS.index(kind) for (kind, _), _, _ in worse], dtype=np.uint8),
                [len(each.embedding) for each in spoilt],
            ),
        )


def _joined(parts: list[Numbers], none: Numbers) -> Numbers:
    return np.concatenate([none, *parts]).astype(np.float32)
