"""What a photo costs an endpoint by each network: `python benchmarks/serving/networks.py`.

mobilenet_v3_small, EfficientNet-Lite0 in floats and in eight bits, Lite1 and Lite2, each exported as training does and
called as an endpoint does: one photo a call, one thread a call. All are called in turns, many rounds; ratios are those
within rounds, by processor time of the calling thread, so that a busy neighbour meets all alike. A promise is kept or
not kept only where the 95 % interval of the median ratio lies on one side of it; else the machine was too noisy, and
nothing is concluded. Ends with 1 if a promise is not kept, with 3 if nothing could be concluded about one.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import numpy as np
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[2]))

import imaging
from benchmarks.support.figures import Machine, Promise, Spread, median_interval, ratios
from benchmarks.support.serving.classifier import LABELS, SIZE, make_photo
from serving.inference.session import Session

SMALL, WHOLE, EIGHT = "mobilenet_v3_small", "efficientnet_lite0", "efficientnet_lite0, eight bits"
LARGER = ("efficientnet_lite1", "efficientnet_lite2")
MOST_TIMES, CORES = 3.0, 2
"""Processor time of a photo by EfficientNet-Lite0, decoding included, in those of mobilenet_v3_small; an endpoint's."""

INCONCLUSIVE = 3


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--calls", type=int, default=10, help="of each network in a round")
    parser.add_argument("--models", type=Path, help="where exported networks are, and stay (a temporary folder)")
    parser.add_argument("--json", action="store_true", help="the same facts for programs")
    options = parser.parse_args()
    if min(options.rounds, options.calls) < 1:
        parser.error("--rounds and --calls are counts: at least 1")
    show = Console(quiet=options.json, width=None if sys.stdout.isatty() else 130, highlight=False)
    machine = Machine.here()
    with tempfile.TemporaryDirectory() as name:
        models = make_models(options.models or Path(name))
        sessions = {network: Session(path) for network, path in models.items()}
        sizes = {network: path.stat().st_size / 2**20 for network, path in models.items()}
    photo = make_photo()
    pixels = imaging.decode(photo, SIZE)[np.newaxis]
    ways: dict[str, Callable[[], object]] = {"decoding": partial(imaging.decode, photo, SIZE)}
    ways |= {network: partial(session.probabilities, pixels) for network, session in sessions.items()}
    spent = in_turns(ways, rounds=options.rounds, calls=options.calls)
    show.print(f"{machine}, {options.rounds} rounds of {options.calls} calls; photo of {len(photo):,} bytes, {SIZE} px")
    show.print(table(spent, sizes))
    found = promises(spent)
    for promise in found:
        show.print(str(promise))
    if options.json:
        facts = {"milliseconds": spent, "megabytes": sizes, "promises": {each.name: each.kept for each in found}}
        print(json.dumps(facts, indent=2))
    if any(promise.kept is False for promise in found):
        return 1
    return INCONCLUSIVE if any(promise.kept is None for promise in found) else 0


def make_models(directory: Path) -> Mapping[str, Path]:
    """Export the networks, untrained but for ImageNet's weights: speed does not depend on the last layer."""
    from benchmarks.support.accuracy.frozen import frozen
    from training.jobs.version.quantise import quantise
    from training.networks.export import export_onnx
    from training.networks.model import build_model

    directory.mkdir(parents=True, exist_ok=True)
    paths = {
        name: directory / f"{name.replace(', ', '-').replace(' ', '-')}.onnx" for name in (SMALL, WHOLE, EIGHT, *LARGER)
    }
    if not paths[SMALL].exists():
        export_onnx(build_model(SMALL, len(LABELS)).eval(), paths[SMALL], labels=LABELS, size=SIZE)
    for network in (WHOLE, *LARGER):
        if not paths[network].exists():
            export_onnx(frozen(network, len(LABELS)), paths[network], labels=LABELS, size=SIZE)
    if not paths[EIGHT].exists():
        quantise(paths[WHOLE], paths[EIGHT], np.stack([imaging.decode(make_photo(), SIZE)] * 8))
    return paths


def in_turns(
    ways: Mapping[str, Callable[[], object]],
    *,
    rounds: int,
    calls: int,
    clock: Callable[[], float] = time.thread_time,
) -> dict[str, list[float]]:
    """Milliseconds of one call by `clock`, round by round; each round begins with another of `ways`."""
    for call in ways.values():
        call()
    spent: dict[str, list[float]] = {name: [] for name in ways}
    names = list(ways)
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            began = clock()
            for _ in range(calls):
                ways[name]()
            spent[name].append(1000 * (clock() - began) / calls)
    return spent


def with_decoding(spent: Mapping[str, list[float]], network: str) -> list[float]:
    """What a photo costs from its bytes on, round by round."""
    return [decoding + call for decoding, call in zip(spent["decoding"], spent[network], strict=True)]


def promises(spent: Mapping[str, list[float]]) -> tuple[Promise, ...]:
    """What is promised of processor times that were measured in the same rounds."""
    small, whole = with_decoding(spent, SMALL), with_decoding(spent, WHOLE)
    return (
        Promise.of(
            f"{WHOLE}: at most {MOST_TIMES:g} times {SMALL}, decoding included", ratios(whole, small), most=MOST_TIMES
        ),
        Promise.of("eight bits are faster than floats", ratios(spent[EIGHT], spent[WHOLE]), most=1.0),
    )


def table(spent: Mapping[str, list[float]], megabytes: Mapping[str, float]) -> Table:
    """For people."""
    found = Table(title="processor time of one photo, medians (least–most)", title_justify="left")
    for column in ("", "model, ms", f"in {SMALL}'s", "with decoding, ms", f"photos/s of {CORES} cores", "MB"):
        found.add_column(column, justify="right" if column else "left")
    found.add_row("decoding", str(Spread.of(spent["decoding"])), "", "", "", "")
    for name, size in megabytes.items():
        whole = with_decoding(spent, name)
        median, low, high = median_interval(ratios(spent[name], spent[SMALL]))
        ratio = "1" if name == SMALL else f"{median:.2f} ({low:.2f} to {high:.2f})"
        middle = Spread.of(whole).median
        found.add_row(
            name, str(Spread.of(spent[name])), ratio, f"{middle:.2f}", f"{1000 * CORES / middle:.0f}", f"{size:.1f}"
        )
    return found


if __name__ == "__main__":
    sys.exit(main())
