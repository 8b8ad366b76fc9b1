"""How an endpoint should use ONNX Runtime on a CPU: `python benchmarks/serving/session.py`.

Ours is the first line of each table: one photo a call, one thread a call, with the arena. Against it: many photos in
one call (what a batcher would send), more threads a call, no arena, and other options. Each in a process of its own, in
turns; medians, and processor time in that of the first line within rounds. Processor time a photo is what tells on a
machine that is never quiet; wall time is one caller's wait on it. Photos of three sizes are decoded at our scale (the
smallest of JPEG's that is not smaller than the model's input), at the next larger one, and whole.
"""

import argparse
import io
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # see serving/__init__.py
import onnxruntime

sys.path.insert(0, str(Path(__file__).parents[2]))

import imaging
from benchmarks.support.figures import paired
from benchmarks.support.serving.classifier import SIZE, make_model, make_photo

PHOTOS = ((640, 480), (1920, 1080), (4032, 3024))


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One way to call the model."""

    name: str
    photos: int = 1
    threads: int = 1
    arena: bool = True
    pattern: bool = True
    optimised: str = "ORT_ENABLE_ALL"
    entries: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Run:
    """What one process measured."""

    cpu_ms: float
    wall_ms: float
    memory_mb: float


TABLES = {
    "photos in one call": (
        Variant(name="1"),
        Variant(name="8", photos=8),
        Variant(name="32", photos=32),
    ),
    "threads for one call": (Variant(name="1"), Variant(name="2", threads=2)),
    "arena for one photo": (Variant(name="with"), Variant(name="without", arena=False)),
    "options": (
        Variant(name="ours"),
        Variant(name="no memory pattern", pattern=False),
        Variant(name="extended optimisations", optimised="ORT_ENABLE_EXTENDED"),
        Variant(name="denormals as zero", entries=(("session.set_denormal_as_zero", "1"),)),
        Variant(name="no pre-packing", entries=(("session.disable_prepacking", "1"),)),
    ),
    "arena for 32 photos": (Variant(name="with", photos=32), Variant(name="without", photos=32, arena=False)),
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, help="an ONNX file to the contract; by default mobilenet_v3_small")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="processor time of one run")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        model = options.model or make_model(Path(name) / "model.onnx")
        print(
            f"onnxruntime {onnxruntime.__version__}, {options.rounds} rounds of {options.seconds:g} s, medians a photo"
        )
        for title, ways in TABLES.items():
            runs: dict[str, list[Run]] = {way.name: [] for way in ways}
            for _ in range(options.rounds):
                for way in ways:
                    runs[way.name].append(measure(model, way, options.seconds))
            print(title)
            first = [run.cpu_ms for run in runs[ways[0].name]]
            for way in ways:
                cpu, wall, memory = (_median(runs[way.name], what) for what in ("cpu_ms", "wall_ms", "memory_mb"))
                ratio = paired([run.cpu_ms for run in runs[way.name]], first)
                print(
                    f"  {way.name:>24}  processor {cpu:6.2f} ms ({ratio} of the first)  wall {wall:6.2f} ms"
                    f"  memory {memory:5.0f} MB"
                )
    decoding(options.rounds)


def decoding(rounds: int) -> None:
    """Decode at several scales, in turns."""
    for width, height in PHOTOS:
        data = make_photo(width, height)
        ways = {"ours": lambda data=data: imaging.decode(data, SIZE)}
        ways |= {
            name: lambda data=data, size=size: _decoded(data, size)
            for name, size in (("scale for twice the side", 2 * SIZE), ("whole", None))
        }
        runs: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(rounds):
            for name, decode in ways.items():
                runs[name].append(statistics.median(_cpu_ms(decode) for _ in range(9)))
        print(f"decoding a photo of {width}×{height}, {len(data):,} bytes")
        for name, seen in runs.items():
            print(f"  {name:>24}  processor {statistics.median(seen):6.2f} ms ({paired(seen, runs['ours'])} of ours)")


def _decoded(data: bytes, side: int | None) -> Image.Image:
    """As `imaging.decode` decodes and resizes, at the scale for another side; None: whole."""
    image = Image.open(io.BytesIO(data))
    if side is not None:
        image.draft(None, (side, side))
    return image.resize((SIZE, SIZE), Image.Resampling.BOX)


def _cpu_ms(work: Callable[[], object]) -> float:
    began = time.thread_time()
    work()
    return (time.thread_time() - began) * 1000


def measure(model: Path, way: Variant, seconds: float) -> Run:
    """Measure in a fresh process."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_loop, model, way, seconds).result()


def _loop(model: Path, way: Variant, seconds: float) -> Run:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = way.threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.enable_cpu_mem_arena = way.arena
    options.enable_mem_pattern = way.pattern
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, way.optimised)
    for name, value in way.entries:
        options.add_session_config_entry(name, value)
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    images = np.random.default_rng(7).integers(0, 256, (way.photos, SIZE, SIZE, 3), dtype=np.uint8)
    for _ in range(3):
        session.run(["probabilities"], {"image": images})
    calls, began, cpu = 0, time.perf_counter(), time.process_time()
    while time.process_time() - cpu < seconds:
        session.run(["probabilities"], {"image": images})
        calls += 1
    count = calls * way.photos
    used, waited = time.process_time() - cpu, time.perf_counter() - began
    return Run(cpu_ms=1000 * used / count, wall_ms=1000 * waited / count, memory_mb=_memory_mb())


def _memory_mb() -> float:
    text = Path("/proc/self/status").read_text()
    line = next(line for line in text.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def _median(runs: list[Run], what: str) -> float:
    return statistics.median(getattr(run, what) for run in runs)


if __name__ == "__main__":
    main()
