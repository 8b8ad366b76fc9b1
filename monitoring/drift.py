"""Drift of a window from the validation photos of its version: which tests reject, and which photos are unusual."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from monitoring.classifier import classifier_test
from monitoring.columns import column_p_value, smallest
from monitoring.embeddings import MOST_ROWS, kernel_block, median_distance, mmd_p_value
from monitoring.levels import LEVELS
from monitoring.matching import matched
from monitoring.windows import Window
from registry.versions.reference import MOST_PHOTOS, Reference

SHOWN: Final = 20
"""Maximum number of strange photos in a result."""

_TINY: Final = 1e-6

type Numbers = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One test of a window."""

    test: str  # a name of `LEVELS`
    p_value: float
    level: float  # level of the test: rejected up to it
    sentence: str  # explanation for people

    @property
    def drifted(self) -> bool:
        """Whether the test rejects."""
        return self.p_value <= self.level


@dataclass(frozen=True, kw_only=True)
class Examined:
    """All tests of a window."""

    photos: int
    findings: tuple[Finding, ...]
    strange: tuple[int, ...]  # indices of photos in the window, the strangest first; empty without drift

    @property
    def drifted(self) -> tuple[Finding, ...]:
        """The rejecting tests, smallest p-value first."""
        return tuple(sorted((each for each in self.findings if each.drifted), key=lambda each: each.p_value))


@dataclass(frozen=True, kw_only=True, eq=False)
class Detector:
    """A reference, prepared for comparing many windows with it. The same seed gives the same findings."""

    reference: Reference
    seed: int = 0
    levels: dict[str, float] = field(default_factory=lambda: dict(LEVELS))

    def examine(self, window: Window) -> Examined:
        """Returns the results of all tests for which the window has data.

        Raises ValueError if its arrays do not match the reference.
        """
        self._refuse(window)
        order = _by_content(window)
        rng = np.random.default_rng(self.seed)
        window = window.take(order)
        indices = self._matched(window, rng)
        known = self._known.take(indices)
        findings = [self._outputs(known, window), *self._inputs(known, window), *self._strangeness(known, window)]
        strange: tuple[int, ...] = ()
        if window.embedding is not None:
            rows = self._rows(window.embedding)
            findings.append(self._embeddings(indices, rows, rng))
            classified = classifier_test(_featured(self._known_rows[indices], known), _featured(rows, window), rng)
            findings.append(
                self._finding(
                    "classifier", classified.p_value, f"{len(classified.strange)} photos are unlike validation photos"
                )
            )
            strange = tuple(order[classified.strange].tolist())
        drifted = any(each.drifted for each in findings)
        return Examined(photos=len(window), findings=tuple(findings), strange=strange[:SHOWN] if drifted else ())

    def _refuse(self, window: Window) -> None:
        if window.probabilities.ndim != 2 or window.probabilities.shape[1] != len(self.reference.labels):
            raise ValueError(f"probabilities of shape {list(window.probabilities.shape)} for the reference's labels")
        if window.embedding is not None and window.embedding.shape[1:] != self.reference.mean.shape:
            raise ValueError(f"embeddings of {window.embedding.shape[1]} numbers, not {len(self.reference.mean)}")

    def _matched(self, window: Window, rng: np.random.Generator) -> Numbers:
        """Returns the indices of the reference photos that the window is compared with."""
        chroma = _statistic(self._known, "chroma"), _statistic(window, "chroma")
        if chroma[0] is None or chroma[1] is None:
            return np.arange(len(self.reference))
        return matched(chroma[0], chroma[1], rng)

    def _outputs(self, known: Window, window: Window) -> Finding:
        """Black-box shift detection: each class's probability (of two classes the first: the other is the rest)."""
        labels = self.reference.labels
        tested = range(1 if len(labels) == 2 else len(labels))
        p_values = [column_p_value(known.probabilities[:, k], window.probabilities[:, k]) for k in tested]
        worst = int(np.argmin(p_values))
        usual, now = known.probabilities[:, worst].mean(), window.probabilities[:, worst].mean()
        return self._finding(
            "outputs", smallest(p_values), f"the mean probability of {labels[worst]} is {now:.2f}, not {usual:.2f}"
        )

    def _inputs(self, known: Window, window: Window) -> list[Finding]:
        pairs = {
            name: (usual, now)
            for name in known.statistic_names
            if (usual := _statistic(known, name)) is not None and (now := _statistic(window, name)) is not None
        }
        if not pairs:
            return []
        p_values = {name: column_p_value(*pair) for name, pair in pairs.items()}
        worst = min(p_values, key=p_values.__getitem__)
        usual, now = (float(np.median(each)) for each in pairs[worst])
        sentence = f"the median {worst} is {now:.3g}, not {usual:.3g}"
        return [self._finding("inputs", smallest(list(p_values.values())), sentence)]

    def _strangeness(self, known: Window, window: Window) -> list[Finding]:
        if window.strangeness is None or known.strangeness is None:
            return []
        beyond = float((window.strangeness > np.quantile(known.strangeness, 0.95)).mean())
        sentence = f"{beyond:.0%} of the photos are stranger than 95 % of the validation photos"
        return [self._finding("strangeness", column_p_value(known.strangeness, window.strangeness), sentence)]

    def _embeddings(self, indices: Numbers, rows: Numbers, rng: np.random.Generator) -> Finding:
        some = rows[rng.permutation(len(rows))[:MOST_ROWS]]
        indices = rng.permutation(indices)[:MOST_ROWS]
        kernel, width = self._kernel
        across = kernel_block(self._known_rows[indices], some, width)
        whole = np.block([[kernel[np.ix_(indices, indices)], across], [across.T, kernel_block(some, some, width)]])
        return self._finding(
            "embeddings", mmd_p_value(whole, len(indices), rng), "the network's features differ from validation"
        )

    def _finding(self, test: str, p_value: float, sentence: str) -> Finding:
        return Finding(test=test, p_value=p_value, level=self.levels[test], sentence=sentence)

    def _rows(self, embedding: Numbers) -> Numbers:
        """Returns embeddings along the training photos' principal components, and the length of the rest."""
        centred = embedding.astype(np.float32) - self.reference.mean
        along = centred @ self.reference.components
        rest = (centred * centred).sum(axis=1) - (along * along).sum(axis=1)
        return np.concatenate([along, np.sqrt(np.maximum(rest, 0))[:, None]], axis=1)

    @cached_property
    def _known(self) -> Window:
        return Window(
            probabilities=self.reference.probabilities,
            statistic_names=self.reference.statistic_names,
            statistics=self.reference.statistics,
            strangeness=self.reference.strangeness,
        )

    @cached_property
    def _known_rows(self) -> Numbers:
        return self._rows(self.reference.embedding)

    @cached_property
    def _kernel(self) -> tuple[Numbers, float]:
        """Kernel matrix of the reference's rows, and its width."""
        width = median_distance(self._known_rows)
        return kernel_block(self._known_rows, self._known_rows, width), width


def _statistic(window: Window, name: str) -> Numbers | None:
    """Returns a column of the input statistics; None if any photo lacks it: tensors have no photo size."""
    if window.statistics is None or name not in window.statistic_names:
        return None
    column = window.statistics[:, window.statistic_names.index(name)]
    return column if np.isfinite(column).all() else None


def _featured(rows: Numbers, window: Window) -> Numbers:
    """Returns the classifier's input: rows, and the logarithms of probabilities."""
    return np.concatenate([rows, np.log(window.probabilities + _TINY)], axis=1)


def _by_content(window: Window) -> Numbers:
    """Returns an order of photos that depends only on their recorded values, not on their order."""
    columns: list[Numbers] = [*window.probabilities.T]
    for array in (window.statistics, window.embedding):
        columns += [] if array is None else [*array.T[:8]]
    columns += [] if window.strangeness is None else [window.strangeness]
    return np.lexsort(columns)


def as_reference(version: Reference, window: Window, *, seed: int = 0) -> Reference:
    """Returns a window, which a person judged normal, as a reference for its own camera.

    `version`: the reference of the version that made the predictions. At most MOST_PHOTOS are used, drawn by `seed`.
    The classes of a window are unknown, so its predictions are used, and there are no corrupted photos: such a
    reference detects drift, and `estimate_accuracy` with it returns "unknown". Raises ValueError if the records lack
    data for a reference.
    """
    missing = [name for name in ("statistics", "strangeness", "embedding") if getattr(window, name) is None]
    missing += [name for name in version.statistic_names if _statistic(window, name) is None]
    if missing:
        raise ValueError(f"the window has no {', '.join(missing)}")
    chosen = window.take(np.sort(np.random.default_rng(seed).permutation(len(window))[:MOST_PHOTOS]))
    assert chosen.statistics is not None  # noqa: S101 - follows from `missing`, which type checkers cannot infer
    assert chosen.strangeness is not None  # noqa: S101 - as above
    assert chosen.embedding is not None  # noqa: S101 - as above
    columns = [chosen.statistic_names.index(name) for name in version.statistic_names]
    return replace(
        version,
        probabilities=chosen.probabilities.astype(np.float32),
        truth=chosen.probabilities.argmax(axis=1).astype(np.uint16),
        embedding=chosen.embedding.astype(np.float16),
        statistics=chosen.statistics[:, columns].astype(np.float32),
        strangeness=chosen.strangeness.astype(np.float32),
        worse_probabilities=version.worse_probabilities[:0],
        worse_truth=version.worse_truth[:0],
        worse_strangeness=version.worse_strangeness[:0],
        worse_kind=version.worse_kind[:0],
    )
