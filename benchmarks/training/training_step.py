"""What the input pipeline and checkpoints cost a training, on this machine's GPU or CPU, in turns.

- input: whole trainings, with photos from the pipeline beside the same batch again and again.
- checkpoints: whole trainings, with a checkpoint after every epoch, sent to a store of 50 MB/s, beside none.

On a GPU elapsed time is judged. On a CPU input and network share the cores, so input is shown only, and checkpoints are
judged by processor time, which the neighbours of a shared machine do not change. Ends with 1 if a promise is not kept.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, override

# As on an instance: spinning threads occupy cores that others could use. Read when torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[2]))

import training.fitting.train
from benchmarks.support.figures import Machine, Spread, paired
from registry.store.memory_store import MemoryStore
from training.fitting.batches import Batches
from training.fitting.checkpoint import Checkpoints, State
from training.fitting.pixels import LabelledPixels
from training.hyper_parameters import HyperParameters

BYTES_PER_SECOND: Final = 50e6
INPUT_PROMISE, CHECKPOINT_PROMISE = 0.90, 1.01


class SlowStore(MemoryStore):
    """Takes as long as a network would."""

    @override
    def create(self, key: str, body: bytes) -> None:
        time.sleep(len(body) / BYTES_PER_SECOND)
        super().create(key, body)


class NoCheckpoints(Checkpoints):
    """Copies and stores nothing."""

    @override
    def save(self, step: int, state: State) -> None:
        """Do nothing."""


class SameBatch(Batches):
    """The first batch, repeatedly, already where the network wants it."""

    _kept: tuple[Tensor, Tensor] | None = None

    @override
    def at(self, step: int) -> tuple[Tensor, Tensor]:
        """Returns the first batch."""
        self._kept = self._kept or super().at(0)
        return self._kept


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Of one training."""

    elapsed: float
    processor: float


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    on_gpu = torch.cuda.is_available()
    parser.add_argument("--architecture", default="resnet18" if on_gpu else "mobilenet_v3_small")
    parser.add_argument("--size", type=int, default=224 if on_gpu else 64)
    parser.add_argument("--batch", type=int, default=128 if on_gpu else 16)
    parser.add_argument("--photos", type=int, default=12_800 if on_gpu else 768)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--trials", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    machine = Machine.here()
    torch.set_num_threads(os.process_cpu_count() or 1)
    photos = _noise(asked.photos, asked.size)
    parameters = HyperParameters(
        architecture=asked.architecture, image_size=asked.size, batch_size=asked.batch, epochs=asked.epochs
    )

    def cost(checkpoints: Checkpoints, batches: type[Batches] = Batches) -> Cost:
        training.fitting.train.Batches = batches
        return _cost(lambda: _train(photos, parameters, checkpoints))

    cost(NoCheckpoints(MemoryStore(), "warm-up"))
    plain, synthetic, kept = list[Cost](), list[Cost](), list[Cost]()
    for _ in range(asked.trials):
        plain.append(cost(NoCheckpoints(MemoryStore(), "job")))
        synthetic.append(cost(NoCheckpoints(MemoryStore(), "job"), SameBatch))
        kept.append(cost(Checkpoints(SlowStore(), "job")))
    checkpoints_elapsed, checkpoints_processor = _ratio(kept, plain, "elapsed"), _ratio(kept, plain, "processor")
    input_elapsed, input_processor = _ratio(synthetic, plain, "elapsed"), _ratio(synthetic, plain, "processor")
    rows = {
        "pipeline's speed of synthetic's, elapsed": input_elapsed,
        "pipeline's speed of synthetic's, processor": input_processor,
        "with checkpoints, elapsed of without": checkpoints_elapsed,
        "with checkpoints, processor of without": checkpoints_processor,
    }
    judged = checkpoints_elapsed if on_gpu else checkpoints_processor
    checkpoints_hold = judged.median <= CHECKPOINT_PROMISE
    holds = checkpoints_hold and (not on_gpu or input_elapsed.median >= INPUT_PROMISE)
    device = torch.cuda.get_device_name() if on_gpu else "no GPU"
    if asked.json:
        figures = {name: asdict(value) for name, value in rows.items()}
        print(json.dumps({"machine": asdict(machine), "device": device, "figures": figures, "holds": holds}))
        return int(not holds)
    steps = asked.photos // asked.batch * asked.epochs
    table = Table("", "ratio", title=f"{asked.architecture}, {asked.size} px, {steps} steps; {machine}, {device}")
    for name, value in rows.items():
        table.add_row(name, f"{value.median:.3f} ({value.low:.3f}–{value.high:.3f})")
    Console().print(table)
    print(f"{'kept' if checkpoints_hold else 'NOT KEPT'}: a checkpoint every epoch costs at most 1 %")
    print("not judged without a GPU: input at least 90 % of synthetic" if not on_gpu else f"input: {holds}")
    return int(not holds)


def _ratio(ones: Sequence[Cost], others: Sequence[Cost], what: str) -> Spread:
    return paired([getattr(one, what) for one in ones], [getattr(other, what) for other in others])


def _cost(work: Callable[[], None]) -> Cost:
    elapsed, processor = time.perf_counter(), time.process_time()
    work()
    return Cost(elapsed=time.perf_counter() - elapsed, processor=time.process_time() - processor)


def _train(photos: LabelledPixels, parameters: HyperParameters, checkpoints: Checkpoints) -> None:
    few = LabelledPixels(photos=photos.photos[:16], pixels=photos.pixels[:16], targets=photos.targets[:16])
    training.fitting.train.train(
        photos,
        few,
        classes=2,
        parameters=parameters,
        seed=0,
        initial_weights=None,
        checkpoints=checkpoints,
        on_epoch=lambda _record: None,
        should_stop=lambda: False,
    )


@dataclass(frozen=True, kw_only=True)
class _Noise(LabelledPixels):
    """Pixels without photos behind them."""

    @override
    def __len__(self) -> int:
        return len(self.targets)


def _noise(count: int, size: int) -> LabelledPixels:
    pixels = torch.randint(0, 256, (count, size, size, 3), dtype=torch.uint8)
    return _Noise(photos=(), pixels=pixels, targets=torch.arange(count) % 2)


if __name__ == "__main__":
    sys.exit(main())
