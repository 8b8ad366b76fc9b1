"""Quantise an exported model to eight bits. It is used only if it is as accurate and faster.

Static quantisation of weights and activations (QDQ: Jacob et al., CVPR 2018; ONNX Runtime's `quantize_static`), with
ranges from training photos. The classifier's last operations are not quantised.
"""

import logging
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from training.evaluation.figures.latency import measure_latency
from training.evaluation.figures.significance import mcnemar
from training.fitting.pixels import LabelledPixels
from training.networks.export import ExportedModel, Pixels

LEAST_AGREEMENT: Final = 0.98
"""Minimum share of photos with the same label."""

MOST_POINTS_LOST: Final = 0.01
"""Maximum loss of accuracy, as a share."""

_RANGES_FROM: Final = 128
_BATCH: Final = 16
_LUCK: Final = 0.05


@dataclass(frozen=True, kw_only=True)
class Quantised:
    """Comparison of a quantised model with the original, on photos not used for training."""

    agreement: float  # share of photos with the same label
    largest_difference: float  # of a probability
    accuracy: float
    accuracy_before: float
    p_value: float  # McNemar's: both are equally good
    milliseconds: float  # median for one photo, here
    milliseconds_before: float

    @property
    def refused(self) -> str:
        """Returns why the eight-bit model must not be served; empty if it may."""
        if self.agreement < LEAST_AGREEMENT:
            return f"only {self.agreement:.1%} of photos get the same label; the minimum is {LEAST_AGREEMENT:.0%}"
        lost = self.accuracy_before - self.accuracy
        if lost > MOST_POINTS_LOST or (lost > 0 and self.p_value < _LUCK):
            return f"accuracy falls from {self.accuracy_before:.1%} to {self.accuracy:.1%}"
        if self.milliseconds >= self.milliseconds_before:
            return f"no faster here: {self.milliseconds:.2f} ms a photo, {self.milliseconds_before:.2f} ms before"
        return ""


def quantise(source: Path, target: Path, photos: Pixels) -> None:
    """Write `source`, quantised with ranges from `photos`, to `target`; metadata is copied."""
    with tempfile.TemporaryDirectory() as directory:
        prepared = Path(directory) / "prepared.onnx"
        quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
        level = logging.getLogger().level
        logging.getLogger().setLevel(logging.ERROR)  # it warns about the missing preprocessing, which was done
        try:
            quantize_static(
                str(prepared),
                str(target),
                _Photos(photos),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=["Conv", "Add", "MaxPool", "Relu", "Clip"],  # Clip: ReLU6
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                per_channel=True,
                reduce_range=True,  # 7 bits: sums of 8 saturate on CPUs without VNNI, so that answers differ
            )
        finally:
            logging.getLogger().setLevel(level)
    model = onnx.load(str(target))
    onnx.helper.set_model_props(model, {each.key: each.value for each in onnx.load(str(source)).metadata_props})
    onnx.save(model, str(target))


def compare_quantised(before: ExportedModel, after: ExportedModel, photos: LabelledPixels, *, calls: int) -> Quantised:
    """Returns a comparison of the quantised model `after` with the original `before`; `calls` are timed."""
    pixels, truth = photos.pixels.numpy(), photos.targets.numpy()
    whole, eight = before.classify(pixels), after.classify(pixels)
    right, right_after = whole.argmax(axis=1) == truth, eight.argmax(axis=1) == truth
    return Quantised(
        agreement=float((whole.argmax(axis=1) == eight.argmax(axis=1)).mean()),
        largest_difference=float(np.abs(whole - eight).max()),
        accuracy=float(right_after.mean()),
        accuracy_before=float(right.mean()),
        p_value=mcnemar(int((right_after & ~right).sum()), int((right & ~right_after).sum())),
        milliseconds=measure_latency(after.classify, pixels, calls=calls).p50,
        milliseconds_before=measure_latency(before.classify, pixels, calls=calls).p50,
    )


class _Photos(CalibrationDataReader):
    """Provides an even sample of photos in batches."""

    def __init__(self, photos: Pixels) -> None:
        chosen = photos[np.linspace(0, len(photos) - 1, min(_RANGES_FROM, len(photos))).astype(int)]
        self._batches: Iterator[Pixels] = (chosen[n : n + _BATCH] for n in range(0, len(chosen), _BATCH))

    def get_next(self) -> dict[str, Pixels] | None:  # pyright: ignore[reportIncompatibleMethodOverride] - typed loosely
        """Returns the next batch, None after the last."""
        batch = next(self._batches, None)
        return None if batch is None else {"image": batch}
