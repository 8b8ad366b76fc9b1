"""The trained network as one ONNX file: bytes of pixels in, probabilities, embedding and activation map out.

Input `image`: uint8 [N, S, S, 3]. Outputs: `probabilities` float32 [N, classes], `embedding` float32 [N, d],
`activation_map` float32 [N, classes, h, w]. Normalisation happens inside; labels and size are in the file's metadata.
"""

import contextlib
import io
import json
import logging
import warnings
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import torch
from torch import Tensor, nn

from imaging import decode
from training.errors import ExportDiffers
from training.model import Classifier, normalise, to_photos

TOLERANCE: Final = 1e-4
"""How far the exported model's probabilities may be from the trained one's."""

OUTPUTS: Final = ("probabilities", "embedding", "activation_map")
_OPSET: Final = 20
_BATCH: Final = 64

type Pixels = npt.NDArray[np.uint8]
type Numbers = npt.NDArray[np.float32]


def export_onnx(model: Classifier, path: Path, *, labels: Sequence[str], size: int) -> None:
    """Write `path`."""
    example = torch.zeros(2, size, size, 3, dtype=torch.uint8)
    with _quietly():
        program = torch.onnx.export(
            _Served(model).eval(),
            (example,),
            input_names=["image"],
            output_names=list(OUTPUTS),
            dynamic_shapes={"image": {0: torch.export.Dim("N", min=1, max=4096)}},
            opset_version=_OPSET,
            dynamo=True,
            verbose=False,
        )
    if program is None:
        raise ExportDiffers("torch exported nothing; this version of torch is not supported")
    proto = program.model_proto
    onnx.helper.set_model_props(proto, {"labels": json.dumps(list(labels)), "size": str(size)})
    onnx.checker.check_model(proto, full_check=True)
    onnx.save(proto, str(path))


def check_parity(model: Classifier, exported: "ExportedModel", pixels: Pixels) -> float:
    """Give the largest difference of a probability between trained and exported model; ExportDiffers above TOLERANCE.

    Within it both give every photo the same label, unless its two best are less than twice the tolerance apart.
    """
    difference = float(np.abs(answer(model, pixels) - exported.classify(pixels)).max())
    if not difference <= TOLERANCE:
        raise ExportDiffers(f"a probability differs by {difference:.2g} after export, more than {TOLERANCE}")
    return difference


@torch.no_grad()
def answer(model: Classifier, pixels: Pixels) -> Numbers:
    """Give the trained model's own probabilities [N, classes] of photos."""
    return torch.cat([_Served(model)(part)[0] for part in torch.from_numpy(pixels).split(_BATCH)]).numpy()


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What the exported model says of N photos."""

    probabilities: Numbers
    embedding: Numbers
    activation_map: Numbers


class ExportedModel:
    """An ONNX file, answering as it will in production."""

    def __init__(self, path: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        # Threads that wait by spinning burn the cores they share with others, as in serving.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        metadata = self._session.get_modelmeta().custom_metadata_map
        self.labels: tuple[str, ...] = tuple(json.loads(metadata["labels"]))
        self.size = int(metadata["size"])

    def classify(self, pixels: Pixels) -> Numbers:
        """Give the probabilities [N, classes] of photos."""
        return self._run(OUTPUTS[:1], pixels)[0]

    def explain(self, pixels: Pixels) -> Answers:
        """Give everything the model says of photos."""
        probabilities, embedding, activation_map = self._run(OUTPUTS, pixels)
        return Answers(probabilities=probabilities, embedding=embedding, activation_map=activation_map)

    def _run(self, names: Sequence[str], pixels: Pixels) -> list[Numbers]:
        parts: list[list[Any]] = [
            list(self._session.run(list(names), {"image": pixels[start : start + _BATCH]}))
            for start in range(0, len(pixels), _BATCH)
        ]
        return [np.concatenate(column) for column in zip(*parts, strict=True)]


def write_probes(exported: ExportedModel, photos: Sequence[bytes], directory: Path) -> dict[str, Path]:
    """Write `probes.json` and its photos; gives the version's file names and where they are.

    A serving process compares its own path from these bytes to probabilities with what is written here.
    """
    files: dict[str, Path] = {}
    probes: list[dict[str, object]] = []
    (directory / "probes").mkdir(exist_ok=True)
    for number, data in enumerate(photos):
        name = f"probes/{number}.jpg"
        files[name] = directory / name
        files[name].write_bytes(data)
        probabilities = exported.classify(decode(data, exported.size)[None])[0]
        probes.append({"photo": name, "probabilities": [round(float(value), 6) for value in probabilities]})
    files["probes.json"] = directory / "probes.json"
    files["probes.json"].write_text(json.dumps(probes, indent=1))
    return files


class _Served(nn.Module):
    """The network with all that production needs around it."""

    def __init__(self, model: Classifier) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Pixels to probabilities, embedding and activation map."""
        logits, embedding, activation = self.model.explain(normalise(to_photos(image)))
        return logits.softmax(dim=1), embedding, activation


@contextlib.contextmanager
def _quietly() -> Generator[None]:
    """Keep the exporter's progress and its notes about its own dependencies out of a job's log."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
