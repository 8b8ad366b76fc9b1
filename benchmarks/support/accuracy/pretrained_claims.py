"""What `benchmarks/training/accuracy.py` claims of networks that know ImageNet: each function measures one claim."""

import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from PIL import Image

from benchmarks.support.accuracy.claims import SHORT, Claim, reference, run_recipe
from benchmarks.support.accuracy.eight_bits import eight_bits
from benchmarks.support.accuracy.fine_tuned import FINE_TUNED, PLAIN, WAYS, Tuning
from benchmarks.support.accuracy.frozen import Embedded, Parts, Resize, embed, few, imagenet_answers, left_out
from benchmarks.support.accuracy.our_training import Lake
from benchmarks.support.accuracy.student import SIZE as STUDENT_SIZE
from benchmarks.support.accuracy.student import STUDENT, VIEWS, embed_by, prepare, teach
from benchmarks.support.accuracy.trials import Outcome, Repeated, Trials
from training.hyper_parameters import FOR_TRANSFER
from training.networks.pretrained import PACKAGED, read_packaged

NETWORK: Final = FOR_TRANSFER.architecture
DRAWS: Final = 10
PHOTOS_EACH: Final = (3, 5, 10, 20, 50, 100, 200, 500)
SIZES: Final = (160, 192, 224, 256, 288)
TEST_PROMISE, UNSEEN_PROMISE, MINUTES = 0.985, 0.975, 3.0
STUDENT_MAY_LOSE: Final = 0.01


def pretrained(trials: Trials, lakes: Sequence[Lake]) -> Claim:
    """A linear layer on ImageNet's features, fine-tuning, from scratch, and torchvision's recipe.

    One complete job, of seed 0, measures the cost of the linear layer; the others reuse the same network's embeddings.
    """
    tuning = _tuning(trials, lakes)
    job = run_recipe(trials, "pretrained", "linear layer", lakes[0], FOR_TRANSFER, 0, _weights_file(trials))
    linear = [tuning.linear(seed) for seed in range(len(lakes))]
    mirrored = [tuning.linear(seed, flips=True) for seed in range(len(lakes))]
    tuned = [tuning.outcome(PLAIN, seed) for seed in range(len(lakes))]
    scratch = [run_recipe(trials, "ablation", "whole", lake, SHORT, seed) for seed, lake in enumerate(lakes)]
    theirs = [reference(trials, lake, seed, job.cpu_seconds) for seed, lake in enumerate(lakes)]
    parts: dict[str, tuple[Sequence[Outcome], str]] = {
        "linear layer on frozen features": (linear, f"{job.cpu_seconds / 60:.1f}, the whole job"),
        "the same, mirror images at inference": (mirrored, "the same"),
        f"last stage fine-tuned, {PLAIN}": (tuned, f"{_mean_minutes(tuned, tuning.start.cpu_seconds)}, without a job"),
        f"from scratch, few-photos of {SHORT.epochs} epochs": (scratch, _mean_minutes(scratch)),
        "torchvision's recipe": (theirs, _mean_minutes(theirs)),
    }
    ours = Repeated.of([outcome.balanced for outcome in linear])
    rows = [
        (
            name,
            str(Repeated.of([outcome.balanced for outcome in outcomes])),
            f"{min(outcome.balanced for outcome in outcomes):.3f}",
            _gain(outcomes, linear) if outcomes is not linear else "",
            minutes,
        )
        for name, (outcomes, minutes) in parts.items()
    ]
    return Claim(
        title=f"Real photos, {NETWORK} at {FOR_TRANSFER.image_size} px: balanced accuracy on the test split",
        columns=("", "balanced accuracy", "least", "less linear layer's, pair by pair", "CPU minutes"),
        rows=tuple(rows),
        promises={
            f"mean at least {TEST_PROMISE:.1%}": ours.mean >= TEST_PROMISE,
            f"within {MINUTES:g} minutes of two cores": job.cpu_seconds <= 2 * 60 * MINUTES,
            "the job predicts like the layer on stored embeddings (seed 0)": job.confusion == linear[0].confusion,
            "ahead of training from scratch and of the reference, beyond all intervals": ours.low
            > max(Repeated.of([o.balanced for o in others]).high for others in (scratch, theirs)),
        },
    )


def tuning(trials: Trials, lakes: Sequence[Lake], groups: Mapping[str, str]) -> Claim:
    """Fine-tuning of the last stage, with one thing changed: on the test split, and on groups left out."""
    table = _tuning(trials, lakes, groups)
    seeds = range(len(lakes))
    plain = [table.outcome(PLAIN, seed) for seed in seeds]
    linear = [table.linear(seed) for seed in seeds]
    outside = [table.linear(seed, unseen=True) for seed in seeds]
    rows: list[tuple[str, ...]] = [("linear layer, nothing tuned", _mean(linear), "", "", _mean(outside), "")]
    better: list[str] = []
    for name, way in WAYS.items():
        found = [table.outcome(name, seed) for seed in seeds]
        ahead = Repeated.of([f.balanced - o.balanced for f, o in zip(found, linear, strict=True)])
        better += [name] if ahead.low > 0 else []
        own = "" if name == PLAIN else _gain(found, plain)
        row = (name, _mean(found), own, _gain(found, linear))
        if way.changes:  # its own training
            rows.append((*row, "", ""))
            continue
        new = [table.outcome(name, seed, unseen=True) for seed in seeds]
        rows.append((*row, _mean(new), _gain(new, outside)))
    return Claim(
        title=f"Last stage of {NETWORK} fine-tuned, {FINE_TUNED.epochs} epochs, {len(lakes)} seeds: balanced accuracy",
        columns=("", "test split", "less the first's", "less linear layer's", "left-out breeds", "less linear layer's"),
        rows=tuple(rows),
        promises={"no way is better than the linear layer beyond its interval: the recipe stays frozen": not better},
    )


def int8(trials: Trials, lakes: Sequence[Lake]) -> Claim:
    """Eight bits compared with floats."""
    size = FOR_TRANSFER.image_size
    return eight_bits(trials, lakes, NETWORK, size, _embedded(trials, lakes[0], {}, NETWORK, size))


def student(trials: Trials, lakes: Sequence[Lake], minutes: float) -> Claim:
    """A small network taught by the large one, on all photos but the test's; their labels are used by layers only."""
    table: dict[str, list[Outcome]] = {"teacher": [], "student, as taught": [], "student, with its own layer": []}
    for seed, lake in enumerate(lakes):
        embedded = _embedded(trials, lake, {}, NETWORK, FOR_TRANSFER.image_size)
        for name, outcome in zip(table, _taught(trials, lake, embedded, seed, minutes), strict=True):
            table[name].append(outcome)
    teachers, *others = table.values()
    spent = _mean_minutes(others[0])
    rows = [
        (
            name,
            _mean(found),
            "" if found is teachers else _gain(found, teachers),
            "" if found is teachers else spent,
        )
        for name, found in table.items()
    ]
    best = max(
        statistics.mean(s.balanced - t.balanced for s, t in zip(found, teachers, strict=True)) for found in others
    )
    return Claim(
        title=f"{STUDENT} at {STUDENT_SIZE} px taught by {NETWORK}: balanced accuracy on the test split",
        columns=("", "balanced accuracy", "less the teacher's", "CPU minutes, the teacher's predictions included"),
        rows=tuple(rows),
        promises={f"within {STUDENT_MAY_LOSE:.0%} of the teacher": best >= -STUDENT_MAY_LOSE},
    )


def _taught(
    trials: Trials, lake: Lake, embedded: Embedded, seed: int, minutes: float
) -> tuple[Outcome, Outcome, Outcome]:
    """Give the outcomes of teacher, student, and of a linear layer on the student's embeddings."""
    parts = Parts.of_split(lake.manifest)
    seconds = minutes * 60
    settings = {"size": STUDENT_SIZE, "views": VIEWS, "cpu_seconds": seconds}
    head = embedded.fit(parts)
    test = torch.from_numpy(parts.test)

    def outcome(logits: torch.Tensor, cpu_seconds: float) -> Outcome:
        answers = logits.argmax(dim=1).numpy()
        return Outcome.of(embedded.targets[test].numpy(), answers, embedded.labels, cpu_seconds)

    def run(place: Path) -> Outcome:
        began = time.process_time()
        lessons = prepare(lake, NETWORK, np.concatenate([parts.learn, parts.held]))
        network = teach(lessons, head, seed=seed, cpu_seconds=seconds - lessons.cpu_seconds)
        spent = time.process_time() - began
        torch.save(network.state_dict(), place / "weights.pt")
        own = embed_by(network, lake, embedded.targets)
        seen = own.plain[test].float()
        answers = {"taught": network.head(seen).detach(), "layer": own.fit(parts).logits(seen)}
        torch.save(answers, place / "answers.pt")
        return outcome(answers["taught"], spent)

    taught = trials.get("student", STUDENT, seed, settings, run)
    answers = torch.load(trials.place("student", STUDENT, seed, settings) / "answers.pt", weights_only=True)
    teacher = outcome(head.logits(embedded.plain[test].float()), 0.0)
    return teacher, taught, outcome(answers["layer"], taught.cpu_seconds)


def unseen(trials: Trials, lake: Lake, groups: Mapping[str, str]) -> Claim:
    """Groups that training never saw, by each network."""
    rows: list[tuple[str, ...]] = []
    found: dict[str, Repeated] = {}
    for network in PACKAGED:
        embedded = _embedded(trials, lake, groups, network, FOR_TRANSFER.image_size)
        draws = [left_out(embedded, seed) for seed in range(DRAWS)]
        ours = [embedded.balanced(learn, test, seed) for seed, (learn, test) in enumerate(draws)]
        answers = imagenet_answers(embedded, network) if set(embedded.labels) == {"cat", "dog"} else None
        own = "" if answers is None else f"{statistics.mean(embedded.recall(answers[t], t) for _, t in draws):.3f}"
        found[network] = Repeated.of(ours)
        rows.append((network, str(found[network]), f"{min(ours):.3f}", own))
    return Claim(
        title=f"Breeds that training never saw, {DRAWS} draws: balanced accuracy at {FOR_TRANSFER.image_size} px",
        columns=("linear layer on", "left-out breeds", "least", "ImageNet's own classes, untrained"),
        rows=tuple(rows),
        promises={f"{NETWORK}: mean at least {UNSEEN_PROMISE:.1%}": found[NETWORK].mean >= UNSEEN_PROMISE},
    )


def curve(trials: Trials, lake: Lake, groups: Mapping[str, str]) -> Claim:
    """How many photos a class are needed: a part of the photos to learn from, all those of the left-out breeds."""
    embedded = _embedded(trials, lake, groups, NETWORK, FOR_TRANSFER.image_size)
    draws = [left_out(embedded, seed) for seed in range(DRAWS)]
    rows: list[tuple[str, ...]] = []
    for each in PHOTOS_EACH:
        found = [
            embedded.balanced(few(embedded, learn, each, seed), test, seed) for seed, (learn, test) in enumerate(draws)
        ]
        rows.append((str(each), str(Repeated.of(found)), f"{min(found):.3f}"))
    return Claim(
        title=f"How many photos a class? {NETWORK}, breeds that training never saw, {DRAWS} draws",
        columns=("photos a class", "balanced accuracy", "least"),
        rows=tuple(rows),
        promises={},
    )


def inputs(trials: Trials, lake: Lake, groups: Mapping[str, str]) -> Claim:
    """The photo as the network gets it: its size, how it is resized, and whether its edges are cut off."""
    usual = FOR_TRANSFER.image_size
    ways: dict[str, tuple[int, Resize | None]] = {f"ours, {size} px": (size, None) for size in SIZES}
    ways |= {
        f"bicubic, {usual} px": (usual, _bicubic),
        f"bicubic, {usual} px, the middle 87.5 %": (usual, _middle),
    }
    rows: list[tuple[str, ...]] = []
    for name, (size, resize) in ways.items():
        embedded = _embedded(trials, lake, groups, NETWORK, size, name if resize else "", resize)
        inside = Repeated.of([embedded.balanced(*_fifth(embedded, seed), seed) for seed in range(DRAWS)])
        outside = Repeated.of([embedded.balanced(*left_out(embedded, seed), seed) for seed in range(DRAWS)])
        rows.append((name, str(inside), str(outside), f"{(size / usual) ** 2:.2f}"))
    return Claim(
        title=f"What {NETWORK} gets: balanced accuracy of a linear layer, {DRAWS} draws",
        columns=("photo", "a fifth left out", "left-out breeds", f"arithmetic, of {usual} px"),
        rows=tuple(rows),
        promises={},
    )


def _embedded(
    trials: Trials,
    lake: Lake,
    groups: Mapping[str, str],
    network: str,
    size: int,
    name: str = "",
    resize: Resize | None = None,
) -> Embedded:
    kind = "".join(letter for letter in name if letter.isalnum())
    path = trials.directory / f"embedded-{lake.dataset[:12]}-{network}-{size}{kind}.pt"
    return embed(lake, network, size, path, groups=groups, resize=resize)


def _tuning(trials: Trials, lakes: Sequence[Lake], groups: Mapping[str, str] | None = None) -> Tuning:
    embedded = _embedded(trials, lakes[0], groups or {}, NETWORK, FOR_TRANSFER.image_size)
    parts = [Parts.of_split(lake.manifest) for lake in lakes]
    return Tuning(trials, lakes[0], NETWORK, embedded, parts)


def _weights_file(trials: Trials) -> Path:
    """ImageNet's weights as a file, as `petpark train --weights` takes one."""
    path = trials.directory / f"{NETWORK}.pth"
    if not path.exists():
        path.write_bytes(read_packaged(PACKAGED[NETWORK]) or b"")
    return path


def _mean(outcomes: Sequence[Outcome]) -> str:
    return str(Repeated.of([outcome.balanced for outcome in outcomes]))


def _gain(ours: Sequence[Outcome], theirs: Sequence[Outcome]) -> str:
    gain = Repeated.of([mine.balanced - other.balanced for mine, other in zip(ours, theirs, strict=True)])
    return f"{gain.mean:+.3f} ± {gain.half:.3f}"


def _mean_minutes(outcomes: Sequence[Outcome], before: float = 0.0) -> str:
    return f"{(before + statistics.mean(outcome.cpu_seconds for outcome in outcomes)) / 60:.1f}"


def _fifth(embedded: Embedded, seed: int) -> tuple[Any, Any]:
    order = np.random.default_rng(seed).permutation(len(embedded.targets))
    cut = len(order) // 5
    return order[cut:], order[:cut]


def _bicubic(image: Image.Image, size: int) -> Image.Image:
    return image.resize((size, size), Image.Resampling.BICUBIC)


def _middle(image: Image.Image, size: int) -> Image.Image:
    """As these weights were evaluated: larger, then the middle of it."""
    larger = round(size / 0.875)
    edge = (larger - size) // 2
    return _bicubic(image, larger).crop((edge, edge, edge + size, edge + size))
