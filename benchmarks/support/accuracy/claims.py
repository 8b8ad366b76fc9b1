"""What `benchmarks/training/accuracy.py` claims: each function measures one claim and returns its table."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from benchmarks.support.accuracy.linear import best_linear, colours
from benchmarks.support.accuracy.our_training import Lake, run_ours
from benchmarks.support.accuracy.reference_training import answer_reference, train_reference
from benchmarks.support.accuracy.trials import Outcome, Repeated, Trials
from registry.intervals import Interval, wilson_interval
from training.dataset.manifest import Split
from training.fitting.pixels import fetch
from training.hyper_parameters import FOR_FEW_PHOTOS, HyperParameters
from training.networks.export import ExportedModel, Pixels, answer_logits
from training.networks.model import build_model

FOR_DRAWN: Final = HyperParameters(epochs=6, batch_size=32, optimiser="muon")
SHORT: Final = replace(FOR_FEW_PHOTOS, epochs=6)  # the configuration from which the ablation removes something
FINE_TUNED: Final = replace(FOR_FEW_PHOTOS, start_size=0)
FEW: Final = 100  # photos to learn from, in transfer
LONG_AND_SHORT: Final = (20, 5)  # epochs in transfer: until nothing more is learned from so few, and a quarter of it
PARITY_PHOTOS: Final = 1_000
SIDES: Final = (8, 16, 32)  # of the photos that linear models see

WITHOUT: Final[Mapping[str, dict[str, Any]]] = {
    "Muon (AdamW instead)": {"optimiser": "adamw"},
    "averaged weights": {"ema_decay": 0.0},
    "small photos first": {"start_size": 0},
    "mirror images at inference": {"flips": 0},
    "crops (0.9 instead of 0.6)": {"crop_scale": 0.9},
    "greyscale": {"greyscale": 0.0},
    "label smoothing": {"label_smoothing": 0.0},
}

GENERATED_PROMISE, GENERATED_MINUTES, LINEAR_PROMISE = 0.97, 10.0, 0.70
REAL_PROMISE, REAL_MINUTES = 0.80, 60.0
PARITY_PROMISE: Final = 1e-4


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What was found out about one promise."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    promises: Mapping[str, bool]  # what is promised -> whether it was kept


def generated(trials: Trials, lake: Lake, seeds: int) -> Claim:
    """The generated set, from scratch."""
    rows: list[tuple[str, ...]] = []
    outcomes = [from_scratch(trials, "generated", lake, FOR_DRAWN, seed) for seed in range(seeds)]
    for seed, outcome in enumerate(outcomes):
        interval = wilson_interval(outcome.right, outcome.photos)
        rows.append((f"petpark, seed {seed}", _share(outcome), _bounds(interval), f"{outcome.cpu_seconds / 60:.1f}"))
    linear = _linear(lake)
    for name, share in linear.items():
        rows.append(
            (name, f"{share:.3f}", _bounds(wilson_interval(round(share * outcomes[0].photos), outcomes[0].photos)), "")
        )
    return Claim(
        title=f"Generated set, {len(lake.manifest.photos):,} photos, {outcomes[0].photos:,} of them for the test",
        columns=("", "accuracy", "95 %", "CPU minutes"),
        rows=tuple(rows),
        promises={
            f"accuracy at least {GENERATED_PROMISE:.0%}": min(o.right / o.photos for o in outcomes)
            >= GENERATED_PROMISE,
            f"within {GENERATED_MINUTES:g} CPU minutes": max(o.cpu_seconds for o in outcomes) <= 60 * GENERATED_MINUTES,
            f"linear models below {LINEAR_PROMISE:.0%}": max(linear.values()) < LINEAR_PROMISE,
        },
    )


def real(trials: Trials, lakes: Sequence[Lake]) -> Claim:
    """Real photos, from scratch, compared with the reference with the same processor time."""
    ours = [from_scratch(trials, "real", lake, FOR_FEW_PHOTOS, seed) for seed, lake in enumerate(lakes)]
    theirs = [
        reference(trials, lake, seed, outcome.cpu_seconds)
        for (seed, lake), outcome in zip(enumerate(lakes), ours, strict=True)
    ]
    rows = [
        (str(seed), f"{o.balanced:.3f}", f"{r.balanced:.3f}", f"{o.cpu_seconds / 60:.1f}", f"{r.cpu_seconds / 60:.1f}")
        for seed, (o, r) in enumerate(zip(ours, theirs, strict=True))
    ]
    us, them = Repeated.of([o.balanced for o in ours]), Repeated.of([r.balanced for r in theirs])
    ahead = Repeated.of([o.balanced - r.balanced for o, r in zip(ours, theirs, strict=True)])
    rows += [("all", str(us), str(them), "", ""), ("ahead, pair by pair", str(ahead), "", "", "")]
    return Claim(
        title="Real photos, from scratch: balanced accuracy on the test split",
        columns=("seed", "petpark", "torchvision's recipe", "CPU minutes", "of the reference"),
        rows=tuple(rows),
        promises={
            "ahead of the reference beyond both intervals": us.low > them.high,
            f"mean at least {REAL_PROMISE:.0%}": us.mean >= REAL_PROMISE,
            f"within {REAL_MINUTES:g} CPU minutes": max(o.cpu_seconds for o in ours) <= 60 * REAL_MINUTES,
        },
    )


def parity(trials: Trials, generated_lake: Lake, real_lake: Lake | None) -> Claim:
    """The exported model compared with the trained one."""
    cases = [("generated", generated_lake, FOR_DRAWN)]
    if real_lake is not None:
        cases.append(("real", real_lake, FOR_FEW_PHOTOS))
    rows: list[tuple[str, ...]] = []
    kept = True
    for what, lake, parameters in cases:
        from_scratch(trials, what, lake, parameters, seed=0)
        place = trials.place(what, "petpark", 0, settings_of(parameters))
        model = build_model(parameters.architecture, len(lake.manifest.labels), flips=bool(parameters.flips)).eval()
        model.load_state_dict(torch.load(place / "weights.pt", weights_only=True))
        pixels = lake.pixels(_unlearned_first(lake)[:PARITY_PHOTOS], parameters.image_size).pixels.numpy()
        file = ExportedModel(place / "model.onnx")
        trained = torch.from_numpy(answer_logits(model, pixels)).div(file.temperature).softmax(dim=1).numpy()
        exported = file.classify(pixels)
        other = int((trained.argmax(1) != exported.argmax(1)).sum())
        difference = float(np.abs(trained - exported).max())
        rows.append((what, f"{len(pixels):,}", str(other), f"{difference:.1e}"))
        kept &= other == 0 and difference <= PARITY_PROMISE and len(pixels) == PARITY_PHOTOS
    return Claim(
        title="ONNX compared with torch",
        columns=("model", "photos", "with another label", "largest difference of a probability"),
        rows=tuple(rows),
        promises={"the same label on 1,000 photos, probabilities within 1e-4": kept},
    )


def transfer(trials: Trials, generated_lake: Lake, lakes: Sequence[Lake]) -> Claim:
    """Few real photos, from weights trained on the generated set, compared with from scratch."""
    from_scratch(trials, "generated", generated_lake, FOR_DRAWN, seed=0)
    weights = trials.place("generated", "petpark", 0, settings_of(FOR_DRAWN)) / "weights.pt"
    rows: list[tuple[str, ...]] = []
    gains: list[Repeated] = []
    for epochs in LONG_AND_SHORT:
        fresh, tuned = list[float](), list[float]()
        parameters = replace(FINE_TUNED, epochs=epochs)
        for seed, lake in enumerate(lakes):
            few, what = lake.with_few(FEW, seed), f"transfer to {FEW}"
            fresh.append(from_scratch(trials, what, few, parameters, seed).balanced)
            tuned.append(run_recipe(trials, what, "from generated", few, parameters, seed, weights).balanced)
        gains.append(Repeated.of([t - f for t, f in zip(tuned, fresh, strict=True)]))
        rows.append((str(epochs), str(Repeated.of(fresh)), str(Repeated.of(tuned)), str(gains[-1])))
    return Claim(
        title=f"{FEW} real photos to learn from, at {FINE_TUNED.image_size} px: balanced accuracy",
        columns=("epochs", "from scratch", "from the generated set's weights", "gain, pair by pair"),
        rows=tuple(rows),
        promises={"a gain beyond its interval": any(gain.low > 0 for gain in gains)},
    )


def ablation(trials: Trials, lakes: Sequence[Lake]) -> Claim:
    """The recipe for real photos, shortened, and the same with one thing taken away."""

    def balanced(who: str, parameters: HyperParameters) -> list[float]:
        return [run_recipe(trials, "ablation", who, lake, parameters, seed).balanced for seed, lake in enumerate(lakes)]

    whole = balanced("whole", SHORT)
    rows = [("nothing", str(Repeated.of(whole)), "")]
    for name, changes in WITHOUT.items():
        if all(getattr(SHORT, setting) == value for setting, value in changes.items()):
            continue  # not in the recipe
        without = balanced(f"without {name}", replace(SHORT, **changes))
        lost = Repeated.of([w - o for w, o in zip(without, whole, strict=True)])
        rows.append((name, str(Repeated.of(without)), f"{lost.mean:+.3f} ± {lost.half:.3f}"))
    return Claim(
        title=f"The recipe for few photos, {SHORT.epochs} epochs: balanced accuracy on the test split",
        columns=("taken away", "balanced accuracy", "difference, pair by pair"),
        rows=tuple(rows),
        promises={},
    )


def from_scratch(trials: Trials, what: str, lake: Lake, parameters: HyperParameters, seed: int) -> Outcome:
    """A job of ours with random weights; measured once."""
    return run_recipe(trials, what, "petpark", lake, parameters, seed)


def run_recipe(
    trials: Trials,
    what: str,
    who: str,
    lake: Lake,
    parameters: HyperParameters,
    seed: int,
    weights: Path | None = None,
) -> Outcome:
    """A job of ours, from `weights` if given; measured once."""
    return trials.get(
        what, who, seed, settings_of(parameters), lambda place: run_ours(lake, parameters, seed, place, weights=weights)
    )


def reference(trials: Trials, lake: Lake, seed: int, cpu_seconds: float) -> Outcome:
    """Torchvision's recipe with so much processor time; measured once."""
    size = FOR_FEW_PHOTOS.image_size

    def run(_place: Path) -> Outcome:
        manifest = lake.manifest
        learn, test = manifest.part(Split.TRAIN), manifest.part(Split.TEST)
        targets = [manifest.labels.index(photo.label) for photo in (*learn, *test)]
        model = train_reference(
            [fetch(lake.store, photo) for photo in learn],
            targets[: len(learn)],
            classes=len(manifest.labels),
            size=size,
            seed=seed,
            cpu_seconds=cpu_seconds,
        )
        answers = answer_reference(model, [fetch(lake.store, photo) for photo in test], size=size)
        return Outcome.of(np.array(targets[len(learn) :]), answers, manifest.labels, cpu_seconds)

    return trials.get("real", "torchvision's recipe", seed, {"size": size, "cpu_seconds": round(cpu_seconds)}, run)


def _linear(lake: Lake) -> dict[str, float]:
    """The linear models that must fail; each the best of several strengths on the test photos themselves."""
    manifest = lake.manifest
    learn = lake.pixels((*manifest.part(Split.TRAIN), *manifest.part(Split.VALIDATION)), SIDES[-1])
    test = lake.pixels(manifest.part(Split.TEST), SIDES[-1])
    truth, expected = learn.targets.numpy(), test.targets.numpy()

    def share(features: tuple[Any, Any]) -> float:
        return float((best_linear(features[0], truth, features[1], expected) == expected).mean())

    both = (learn.pixels.numpy(), test.pixels.numpy())
    return {
        **{f"linear, {side} px": share((_small(both[0], side), _small(both[1], side))) for side in SIDES},
        "linear, 64 colours": share((colours(both[0]), colours(both[1]))),
    }


def _small(photos: Pixels, side: int) -> Any:
    count, full = photos.shape[:2]
    return photos.reshape(count, side, full // side, side, full // side, 3).mean(axis=(2, 4)).reshape(count, -1)


def _unlearned_first(lake: Lake) -> tuple[Any, ...]:
    manifest = lake.manifest
    return (*manifest.part(Split.TEST), *manifest.part(Split.VALIDATION), *manifest.part(Split.TRAIN))


def settings_of(parameters: HyperParameters) -> dict[str, object]:
    """What names a trial: that which differs from the defaults, so that a new setting, off, leaves old trials valid."""
    usual = asdict(HyperParameters())
    return {name: value for name, value in asdict(parameters).items() if value != usual[name]}


def _share(outcome: Outcome) -> str:
    return f"{outcome.right / outcome.photos:.3f}"


def _bounds(interval: Interval) -> str:
    return f"{interval[0]:.3f}–{interval[1]:.3f}"
