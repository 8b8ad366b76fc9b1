"""Accuracy of models, each promise with its reference in the same run.

- generated: the generated photo set from scratch, compared with linear models on pixels and on colours.
- real: a folder of photos from scratch, compared with torchvision's recipe with the same processor time; 5 seeds, each
  of which splits and trains again.
- pretrained: the same photos by a linear layer on ImageNet's features, compared with fine-tuning, training from
  scratch, and torchvision's recipe with the linear layer's processor time; 5 seeds.
- tuning: the network's last stage fine-tuned, with one thing changed, also on breeds left out; 5 seeds.
- int8: the network in eight bits compared with floats; 5 seeds.
- student: a small network taught by the large one, in --minutes of CPU time; 1 seed.
- unseen: breeds (or other groups of the index) that training never saw, by each network; 10 draws.
- curve: how many photos a class are needed; 10 draws.
- input: size and resizing of the photos; 10 draws.
- parity: the exported model compared with the trained one on 1,000 photos.
- transfer: few real photos, from weights trained on the generated set, compared with from scratch.
- ablation: the recipe for real photos, shortened, with one thing taken away; 3 seeds.

Every training of ours is a job as an instance runs it. Without --photos only what needs no real photos is measured.
Measurements are stored in --results and not repeated: an interrupted run continues, and seeds can be added.
Ends with 1 if a promise is not kept.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Final

# As on an instance: spinning threads occupy cores that others could use. Read when torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.support.accuracy.claims import Claim, ablation, generated, parity, real, transfer
from benchmarks.support.accuracy.frozen import read_groups
from benchmarks.support.accuracy.our_training import Lake, fill_lake
from benchmarks.support.accuracy.pretrained_claims import curve, inputs, int8, pretrained, student, tuning, unseen
from benchmarks.support.accuracy.trials import Trials
from benchmarks.support.figures import Machine
from training.dataset.generated import generate
from training.errors import TrainingError

DRAWN: Final = 6_000
SEEDS: Final[Mapping[str, int]] = {
    **{"generated": 1, "real": 5, "transfer": 5, "ablation": 3},
    **{"pretrained": 5, "tuning": 5, "int8": 5, "student": 1},
}
NEED_PHOTOS: Final = (
    "real",
    "transfer",
    "ablation",
    "pretrained",
    "tuning",
    "int8",
    "student",
    "unseen",
    "curve",
    "input",
)


def main() -> int:
    """Measure and print."""
    asked = _arguments()
    photos: Path | None = asked.photos
    torch.set_num_threads(asked.threads)
    machine = Machine.here()
    show = Console(quiet=asked.json, width=None if sys.stdout.isatty() else 140, highlight=False)
    say = Console(stderr=True, highlight=False)
    trials = Trials(asked.results, say.print)
    drawn = cache(lambda: _drawn(asked.results, asked.drawn))

    @cache
    def split(seed: int) -> Lake:
        assert photos is not None
        return fill_lake(photos, seed)

    def lakes(what: str) -> list[Lake]:
        return [split(seed) for seed in range(asked.seeds or SEEDS[what])]

    def groups() -> Mapping[str, str]:
        assert photos is not None
        return read_groups(asked.index or photos / "photos.csv")

    claims: dict[str, Callable[[], Claim]] = {
        "generated": lambda: generated(trials, drawn(), asked.seeds or SEEDS["generated"]),
        "real": lambda: real(trials, lakes("real")),
        "parity": lambda: parity(trials, drawn(), split(0) if photos else None),
        "transfer": lambda: transfer(trials, drawn(), lakes("transfer")),
        "ablation": lambda: ablation(trials, lakes("ablation")),
        "pretrained": lambda: pretrained(trials, lakes("pretrained")),
        "tuning": lambda: tuning(trials, lakes("tuning"), groups()),
        "int8": lambda: int8(trials, lakes("int8")),
        "student": lambda: student(trials, lakes("student"), asked.minutes),
        "unseen": lambda: unseen(trials, split(0), groups()),
        "curve": lambda: curve(trials, split(0), groups()),
        "input": lambda: inputs(trials, split(0), groups()),
    }
    if asked.only:
        claims = {asked.only: claims[asked.only]}
    show.print(f"{machine}, {torch.get_num_threads()} threads")
    found: list[Claim] = []
    for name, measure in claims.items():
        if photos is None and name in NEED_PHOTOS:
            show.print(f"\n{name}: not measured, for it needs real photos (--photos DIR)")
            continue
        try:
            found.append(measure())
        except TrainingError as error:
            print(f"{name}: {error}", file=sys.stderr)
            return 2
        show.print("", _table(found[-1]), sep="\n")
        for promise, kept in found[-1].promises.items():
            show.print(f"{'kept' if kept else 'NOT KEPT'}: {promise}")
    if asked.json:
        print(json.dumps({"machine": asdict(machine), "claims": [asdict(claim) for claim in found]}, indent=2))
    return int(not all(kept for claim in found for kept in claim.promises.values()))


def _arguments() -> argparse.Namespace:
    """Read the command line; a wrong one ends the program with a sentence."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("generated", "parity", *NEED_PHOTOS))
    parser.add_argument("--photos", type=Path, default=os.environ.get("PETPARK_PHOTOS"), help="folder of <class>/*.jpg")
    parser.add_argument("--index", type=Path, help="CSV of key (or file) and breed (PHOTOS/photos.csv)")
    parser.add_argument("--seeds", type=int, help="of each training")
    parser.add_argument("--minutes", type=float, default=10.0, help="of CPU time for a student (10)")
    parser.add_argument("--drawn", type=int, default=DRAWN, help="photos of the generated set (6,000)")
    parser.add_argument("--threads", type=int, default=os.process_cpu_count() or 1, help="of torch (all cores)")
    parser.add_argument("--results", type=Path, default=Path("build/accuracy"), help="stored measurements")
    parser.add_argument("--json", action="store_true", help="the same facts for programs")
    asked = parser.parse_args()
    photos = asked.photos = Path(asked.photos) if asked.photos else None
    if photos is not None and not photos.is_dir():
        parser.error(f"{photos} is not a folder; pass a folder with one subfolder of photos per class")
    if photos is None and asked.only in NEED_PHOTOS:
        parser.error(f"{asked.only} needs real photos: --photos DIR, or PETPARK_PHOTOS")
    if min(asked.drawn, asked.threads, asked.minutes, 1 if asked.seeds is None else asked.seeds) < 1:
        parser.error("--seeds, --drawn, --threads and --minutes are at least 1")
    return asked


def _drawn(results: Path, count: int) -> Lake:
    """Draw the generated set, unless an earlier run did."""
    folder = results / f"generated-{count}"
    if not (folder / "whole").exists():
        generate(folder / "photos", count=count, seed=1)
        (folder / "whole").touch()
    return fill_lake(folder / "photos", seed=1)


def _table(claim: Claim) -> Table:
    table = Table(title=claim.title, title_justify="left")
    for column in claim.columns:
        table.add_column(column)
    for row in claim.rows:
        table.add_row(*row)
    return table


if __name__ == "__main__":
    sys.exit(main())
