"""Measured trainings, one per line. None is repeated, so that seeds can be added over days."""

import hashlib
import json
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Self

from training.evaluation.figures.metrics import evaluate

# Two-sided 95 % quantiles of Student's t for 1, 2, … degrees of freedom.
_STUDENT: Final = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
_TEST_TO_TRAIN: Final = 2 / 7  # photos of the test split to photos learned from


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The cost of a training, and its model's predictions for the test photos."""

    confusion: tuple[tuple[int, ...], ...]  # [true class][predicted class]
    cpu_seconds: float  # of all threads, from the first byte read to the last prediction

    @property
    def photos(self) -> int:
        """Number of predictions."""
        return sum(map(sum, self.confusion))

    @property
    def right(self) -> int:
        """How many rightly."""
        return sum(row[place] for place, row in enumerate(self.confusion))

    @property
    def balanced(self) -> float:
        """Mean recall."""
        return statistics.mean(row[place] / sum(row) for place, row in enumerate(self.confusion))

    @classmethod
    def of(cls, truth: Any, answers: Any, labels: Sequence[str], cpu_seconds: float) -> Self:
        """From class indices of all test photos."""
        return cls(confusion=evaluate(truth, answers, labels).confusion, cpu_seconds=cpu_seconds)


class Trials:
    """All that is in `directory`: `trials.jsonl`, and a folder of files for each trial of ours."""

    def __init__(self, directory: Path, say: Callable[[str], None]) -> None:
        self.directory, self._say = directory, say
        self._path = directory / "trials.jsonl"
        directory.mkdir(parents=True, exist_ok=True)

    def get(
        self, what: str, who: str, seed: int, settings: Mapping[str, object], run: Callable[[Path], Outcome]
    ) -> Outcome:
        """Returns the outcome of a trial, from the file if it was run with these settings; `run` may leave files."""
        place = self.place(what, who, seed, settings)
        if (known := self._known().get(place.name)) is not None:
            return known
        self._say(f"{what}: {who}, seed {seed}")
        place.mkdir(exist_ok=True)
        outcome = run(place)
        line = {"trial": place.name, "what": what, "who": who, "seed": seed, **asdict(outcome), "settings": settings}
        with self._path.open("a") as file:
            file.write(json.dumps(line, default=str) + "\n")
        return outcome

    def place(self, what: str, who: str, seed: int, settings: Mapping[str, object]) -> Path:
        """Where the files of a trial are, or will be."""
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()[:8]
        return self.directory / "-".join([what, who.replace(" ", "_").replace("/", "_"), str(seed), digest])

    def _known(self) -> dict[str, Outcome]:
        lines = self._path.read_text().splitlines() if self._path.exists() else []
        return {
            line["trial"]: Outcome(
                confusion=tuple(tuple(row) for row in line["confusion"]), cpu_seconds=line["cpu_seconds"]
            )
            for line in map(json.loads, lines)
        }


@dataclass(frozen=True, kw_only=True)
class Repeated:
    """A figure over seeds, each with its own split and training."""

    mean: float
    half: float  # of its 95 % interval; infinite for one seed
    n: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """Corrected for splits that share photos: the usual interval is too narrow (Nadeau & Bengio, 2003)."""
        n = len(values)
        if n == 1:
            return cls(mean=values[0], half=math.inf, n=1)
        error = math.sqrt((1 / n + _TEST_TO_TRAIN) * statistics.variance(values))
        return cls(mean=statistics.mean(values), half=_STUDENT[min(n - 1, len(_STUDENT)) - 1] * error, n=n)

    @property
    def low(self) -> float:
        """Lower bound."""
        return self.mean - self.half

    @property
    def high(self) -> float:
        """Upper bound."""
        return self.mean + self.half

    def __str__(self) -> str:
        return f"{self.mean:.3f} ± {self.half:.3f}" if self.n > 1 else f"{self.mean:.3f} (one seed)"
