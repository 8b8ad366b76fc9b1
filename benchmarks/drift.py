"""What drift detection promises, measured: false alarms, power, delay, and accuracy without labels.

Photos are generated, and with --photos read from a folder with photos.csv (file, label, breed). A frozen
EfficientNet-Lite0 embeds them once (kept in --cache); a version is a linear layer fitted to 40 % of them, as a job fits
it. References and windows are drawn with replacement from the others, so that without a shift both have exactly one
distribution. Every trial has its own reference; in a camera-year all windows share one, as in operation. Shifts
are the corruptions of the evaluation report. Ends with 1 if a promise was not kept.

    python -m benchmarks.drift --photos DIR
"""

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.support.drift_trials import KINDS, Fitted
from benchmarks.support.figures import Machine
from benchmarks.support.shifted_photos import Seen, Shift, ShiftedPhotos, generated_photos, look, real_photos
from monitoring.accuracy import Estimate, estimate_accuracy
from monitoring.drift import Detector
from monitoring.levels import WINDOWS_A_MONTH, false_alarms_a_month
from monitoring.traffic import watch_traffic
from monitoring.windows import HOUR, Window, alarms, spans
from registry.versions.reference import Reference

REFERENCE: Final = 500
"""Photos of a reference: the validation photos of a dataset of some 3,000."""

SEVERITIES: Final = (4, 3)
LARGE: Final[tuple[Shift, ...]] = (("night", 4), ("blur", 4))
MEDIUM: Final[tuple[Shift, ...]] = tuple((kind, 3) for kind in KINDS)
TENTH: Final[tuple[Shift, ...]] = tuple((kind, 4) for kind in KINDS)
HOURS_A_YEAR: Final = 8766
FOLDS: Final = 8  # of groups that are left out

type Numbers = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Promise:
    """A figure and its bound."""

    photos: str
    name: str
    figure: float
    bound: str
    kept: bool
    detail: str = ""

    def __str__(self) -> str:
        verdict = "kept" if self.kept else "NOT KEPT"
        return f"{verdict:9s} {self.photos:10s} {self.name}: {self.figure:.3f} (promised: {self.bound}) {self.detail}"


@dataclass(frozen=True, kw_only=True)
class Bench:
    """One set of photos and a version that was fitted to a part of it."""

    photos: ShiftedPhotos
    version: Fitted
    trials: int

    def clean(self, count: int, rng: np.random.Generator) -> Seen:
        """Draw photos as they are."""
        return self.photos.clean.take(rng.choice(self.version.others, count))

    def shifted(self, shift: Shift, count: int, rng: np.random.Generator) -> Seen:
        """Draw corrupted photos."""
        worse = self.photos.worse[shift]
        return worse.take(rng.integers(0, len(worse.embedding), count))

    def reference(self, rng: np.random.Generator) -> Reference:
        """Draw a reference."""
        places = rng.choice(self.version.others, REFERENCE)
        return self.version.reference(self.photos.clean.take(places), self.photos.truth[places])

    def power(self, name: str, draw: Callable[[np.random.Generator], Seen]) -> float:
        """Returns the share of trials in which a window is found to drift, and prints it with that of each test."""
        found, tests, began = 0, Counter[str](), time.perf_counter()
        for trial in range(self.trials):
            rng = np.random.default_rng([trial, 1])
            examined = Detector(reference=self.reference(rng)).examine(self.version.window(draw(rng)))
            found += bool(examined.drifted)
            tests.update(each.test for each in examined.drifted)
        each = ", ".join(f"{test} {count / self.trials:.2f}" for test, count in tests.items())
        seconds = (time.perf_counter() - began) / self.trials
        _print_line(f"{self.photos.name}: {name}: {found / self.trials:.2f} ({each}) {seconds:.2f} s a window")
        return found / self.trials

    def powers(self) -> list[Promise]:
        """Measure the three promises of power."""
        large = [
            self.power(f"{kind} {level}, 200 photos", lambda rng, s=(kind, level): self.shifted(s, 200, rng))
            for kind, level in LARGE
        ]
        medium = [
            self.power(f"{kind} {level}, 500 photos", lambda rng, s=(kind, level): self.shifted(s, 500, rng))
            for kind, level in MEDIUM
        ]
        tenth = [
            self.power(
                f"{kind} {level}, 100 of 1,000 photos",
                lambda rng, s=(kind, level): self.clean(900, rng).with_others(self.shifted(s, 100, rng)),
            )
            for kind, level in TENTH
        ]
        return [
            self._promise("power, large shifts, n = 200, the worst of them", min(large), 0.95),
            self._promise("power, medium shifts, n = 500, mean", float(np.mean(medium)), 0.80, medium),
            self._promise("power, a tenth changed, n = 1,000, mean", float(np.mean(tenth)), 0.50, tenth),
        ]

    def _promise(self, name: str, figure: float, least: float, each: list[float] | None = None) -> Promise:
        detail = "" if each is None else "worst " + f"{min(each):.2f}"
        return Promise(
            photos=self.photos.name,
            name=name,
            figure=figure,
            bound=f"at least {least}",
            kept=figure >= least,
            detail=detail,
        )

    def camera_year(self, hours: int, seed: int = 0) -> Promise:
        """Simulate a camera without drift, one reference for all of its windows, traffic included."""
        rng = np.random.default_rng([seed, 2])
        detector = Detector(reference=self.reference(rng))
        hourly = traffic(hours, rng)
        seconds = np.concatenate([hour * HOUR + np.sort(rng.uniform(0, HOUR, n)) for hour, n in enumerate(hourly)])
        tests, drifted = Counter[str](), list[bool]()
        for span in spans(seconds, until=hours * HOUR):
            examined = detector.examine(self.version.window(self.clean(len(span.indices), rng)))
            drifted.append(bool(examined.drifted))
            tests.update(each.test for each in examined.drifted)
        silent = [
            bool((seen := watch_traffic(hourly[max(0, hour - 29 * 24) : hour])) and seen.missing)
            for hour in range(1, hours + 1)
        ]
        tests["traffic"] = sum(silent)
        raised = len(alarms(drifted)) + len(alarms(silent))
        months = hours / WINDOWS_A_MONTH
        return Promise(
            photos=self.photos.name,
            name=f"false alarms a camera and month, all tests, {len(drifted):,} windows",
            figure=raised / months,
            bound="at most 1",
            kept=raised / months <= 1,
            detail=f"{raised} in {months:.1f} months; windows by test: {dict(tests)}; "
            f"expected at most {false_alarms_a_month():.2f}",
        )

    def delay(self) -> Promise:
        """Shift at a random moment, and count the windows that end after it, up to the first that is found to drift."""
        waited: list[int] = []
        for trial in range(self.trials):
            rng = np.random.default_rng([trial, 3])
            shift = LARGE[trial % len(LARGE)]
            detector = Detector(reference=self.reference(rng))
            begun = rng.uniform()  # share of the first hour that was as usual
            for window in range(1, 10):
                usual = round(begun * 120) if window == 1 else 0
                seen = self.clean(usual, rng).with_others(self.shifted(shift, 120 - usual, rng))
                if detector.examine(self.version.window(seen)).drifted:
                    waited.append(window)
                    break
            else:
                waited.append(99)
        return Promise(
            photos=self.photos.name,
            name="delay of large shifts in windows of 120 photos, longest",
            figure=max(waited),
            bound="at most 2",
            kept=max(waited) <= 2,
            detail=f"mean {np.mean(waited):.2f}",
        )

    def accuracy_of_corruptions(self) -> list[Promise]:
        """Estimate the accuracy on each corruption: by a reference that has it among its copies, and without it."""
        rng = np.random.default_rng(4)
        halves = rng.permutation(len(self.photos.places))
        known, asked = halves[: len(halves) // 2], halves[len(halves) // 2 :]
        truth = self.photos.truth[self.photos.places[asked]]
        found: dict[str, list[float]] = {"known": [], "new": []}
        unknown = covered = 0
        references = {kind: self._with_copies(known, kind) for kind in (None, *KINDS)}
        for (kind, _), worse in self.photos.worse.items():
            window = self.version.window(worse.take(asked))
            actual = float((window.probabilities.argmax(axis=1) == truth).mean())
            for case, reference in (("known", references[None]), ("new", references[kind])):
                estimate = _estimate(reference, window)
                if estimate.accuracy is None:
                    unknown += 1
                else:
                    found[case].append(abs(estimate.accuracy - actual))
                    covered += estimate.low <= actual <= estimate.high
        count = len(found["known"]) + len(found["new"])
        return [
            Promise(
                photos=self.photos.name,
                name=f"accuracy without labels, corruptions {case} to the reference, mean error",
                figure=float(np.mean(errors)),
                bound="at most 0.03",
                kept=float(np.mean(errors)) <= 0.03,
                detail=f"largest {max(errors):.3f}; interval holds {covered} of {count}; {unknown} unknown",
            )
            for case, errors in found.items()
        ]

    def _with_copies(self, known: Numbers, left_out: str | None) -> Reference:
        """Returns a reference of clean photos, and of corrupted copies of `known` (rows of what was corrupted)."""
        rng = np.random.default_rng(5)
        more = rng.choice(np.setdiff1d(self.version.others, self.photos.places), REFERENCE - len(known), replace=False)
        places = np.concatenate([self.photos.places[known], more])
        shifts = [shift for shift in self.photos.worse if shift[0] != left_out]
        worse: list[tuple[Shift, Seen, Numbers]] = []
        each = REFERENCE // len(shifts)  # copies of a shift: as many in all as there are photos
        for number, shift in enumerate(shifts):
            own = known[(number * each + np.arange(each)) % len(known)]
            worse.append((shift, self.photos.worse[shift].take(own), self.photos.truth[self.photos.places[own]]))
        return self.version.reference(self.photos.clean.take(places), self.photos.truth[places], worse)

    def accuracy_of_groups(self) -> Promise:
        """Fit versions without some of the cameras (or breeds), and estimate the accuracy on these."""
        names, codes = np.unique(self.photos.groups, return_inverse=True)
        folds = (np.random.default_rng(6).permutation(len(names)) % FOLDS)[codes]
        errors: list[float] = []
        covered = unknown = 0
        for fold in range(FOLDS):
            places = np.flatnonzero(folds == fold)
            version = Fitted.learn(self.photos, fold, left_out=places)
            rows = np.flatnonzero(folds[self.photos.places] != fold)
            bench = Bench(photos=self.photos, version=version, trials=self.trials)
            others = np.setdiff1d(version.others, places)
            reference = Bench(
                photos=self.photos,
                version=Fitted(
                    head=version.head, temperature=version.temperature, subspace=version.subspace, others=others
                ),
                trials=1,
            )._with_copies(rows, None)
            window = bench.version.window(self.photos.clean.take(places))
            actual = float((window.probabilities.argmax(axis=1) == self.photos.truth[places]).mean())
            estimate = _estimate(reference, window)
            shown = "unknown" if estimate.accuracy is None else f"{estimate.accuracy:.3f}"
            _print_line(f"{self.photos.name}: group {fold + 1} left out: accuracy {actual:.3f}, estimated {shown}")
            if estimate.accuracy is None:
                unknown += 1
            else:
                errors.append(abs(estimate.accuracy - actual))
                covered += estimate.low <= actual <= estimate.high
        largest = max(errors, default=1.0)
        return Promise(
            photos=self.photos.name,
            name="accuracy without labels, cameras (or breeds) never seen, largest error",
            figure=largest,
            bound="at most 0.05",
            kept=largest <= 0.05,
            detail=f"mean {np.mean(errors):.3f}; interval holds {covered} of {len(errors)}; {unknown} unknown",
        )


def traffic(hours: int, rng: np.random.Generator) -> Numbers:
    """Photos of each hour: 60 at night to 180 by day, with days that differ (negative binomial)."""
    usual = 120 - 60 * np.cos(2 * np.pi * np.arange(hours) / 24)
    busy = rng.gamma(20, 1 / 20, hours // 24 + 1)[np.arange(hours) // 24]
    return rng.poisson(usual * busy)


def _estimate(reference: Reference, window: Window) -> Estimate:
    return estimate_accuracy(reference, window.probabilities, window.strangeness)


def _print_line(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--photos", type=Path, help="real photos in addition to the generated ones: a folder with photos.csv"
    )
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--hours", type=int, default=HOURS_A_YEAR, help="of the simulated camera")
    parser.add_argument("--cache", type=Path, default=Path("build/drift"))
    parser.add_argument("--only", choices=("false-alarms", "power", "delay", "accuracy"), help="one part")
    parser.add_argument("--set", choices=("generated", "real"), help="one set of photos")
    parser.add_argument("--json", action="store_true", help="the same facts for programs")
    options = parser.parse_args()
    torch.set_num_threads(1)
    machine = Machine.here()
    _print_line(str(machine))
    sets = [("generated", generated_photos(2400, cameras=8, seed=1), 200)]
    sets += [("real", real_photos(options.photos), 400)] if options.photos else []
    promises: list[Promise] = []
    for name, photos, corrupted in (each for each in sets if options.set in (None, each[0])):
        seen = look(name, photos, corrupted=corrupted, severities=SEVERITIES, cache=options.cache, say=_print_line)
        bench = Bench(photos=seen, version=Fitted.learn(seen, 0), trials=options.trials)
        parts: dict[str, Callable[[Bench], list[Promise]]] = {
            "power": Bench.powers,
            "delay": lambda each: [each.delay()],
            "accuracy": lambda each: [*each.accuracy_of_corruptions(), each.accuracy_of_groups()],
            "false-alarms": lambda each: [each.camera_year(options.hours)],
        }
        for part, measure in parts.items():
            if options.only in (None, part):
                promises += measure(bench)
    if options.json:
        print(json.dumps({"machine": asdict(machine), "promises": [asdict(each) for each in promises]}))
    else:
        print(machine, *promises, sep="\n")
    return 0 if all(each.kept for each in promises) else 1


if __name__ == "__main__":
    sys.exit(main())
