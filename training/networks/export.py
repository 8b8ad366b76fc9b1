"""The trained network as one ONNX file: bytes of pixels in, probabilities, embedding and activation map out.

Input `image`: uint8 [N, S, S, 3]. Outputs: `probabilities` float32 [N, classes], `embedding` float32 [N, d],
`activation_map` float32 [N, classes, h, w]: its average over places are the logits whose softmax is the probabilities.
Normalisation and temperature are inside; labels, size and temperature are in the file's metadata too.
"""

import contextlib
import copy
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
from registry.versions.decision import Decision, decide, is_steady
from training.errors import ExportDiffers
from training.networks.model import Classifier, to_photos

TOLERANCE: Final = 1e-4
"""How far the exported model's probabilities may be from the trained one's."""

OUTPUTS: Final = ("probabilities", "embedding", "activation_map")
STRANGENESS: Final = "strangeness"
"""An output that `training.networks.strangeness` adds."""

_STEADY: Final = 1e-3  # how far probabilities of a probe may be from these in serving
_OPSET: Final = 20
_BATCH: Final = 64

type Pixels = npt.NDArray[np.uint8]
type Numbers = npt.NDArray[np.float32]


def export_onnx(model: Classifier, path: Path, *, labels: Sequence[str], size: int, temperature: float = 1.0) -> None:
    """Write `path`; `model` stays as it is, the file's logits are divided by `temperature`."""
    example = torch.zeros(2, size, size, 3, dtype=torch.uint8)
    with _quietly():
        program = torch.onnx.export(
            _Served(_divided(model, temperature)).eval(),
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
    facts = {"labels": json.dumps(list(labels)), "size": str(size), "temperature": repr(temperature)}
    onnx.helper.set_model_props(proto, facts)
    onnx.checker.check_model(proto, full_check=True)
    onnx.save(proto, str(path))


def check_parity(model: Classifier, exported: "ExportedModel", pixels: Pixels, *, temperature: float = 1.0) -> float:
    """Returns the largest difference in probability between trained and exported model; ExportDiffers above TOLERANCE.

    The trained one's logits are divided by `temperature` here, by themselves: what the export folded in is checked too.
    Within it both give every photo the same label, unless its two best are less than twice the tolerance apart.
    """
    expected = torch.from_numpy(answer_logits(model, pixels)).div(temperature).softmax(dim=1).numpy()
    difference = float(np.abs(expected - exported.classify(pixels)).max())
    if not difference <= TOLERANCE:
        raise ExportDiffers(f"a probability differs by {difference:.2g} after export, more than {TOLERANCE}")
    return difference


@torch.no_grad()
def answer_logits(model: Classifier, pixels: Pixels) -> Numbers:
    """Returns the trained network's own logits [N, classes], as it answers: by mirror images too, where it does."""
    parts = torch.from_numpy(pixels).split(_BATCH)
    return torch.cat([model.explain(to_photos(part))[0] for part in parts]).numpy()


@dataclass(frozen=True, kw_only=True)
class Answers:
    """Outputs of the exported model for N photos."""

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
        self._outputs = frozenset(each.name for each in self._session.get_outputs())
        metadata = self._session.get_modelmeta().custom_metadata_map
        self.labels: tuple[str, ...] = tuple(json.loads(metadata["labels"]))
        self.size = int(metadata["size"])
        self.temperature = float(metadata.get("temperature", "1"))

    def classify(self, pixels: Pixels) -> Numbers:
        """Returns the probabilities [N, classes] of photos."""
        return self._run(OUTPUTS[:1], pixels)[0]

    def explain(self, pixels: Pixels) -> Answers:
        """Returns all outputs of the model for photos."""
        probabilities, embedding, activation_map = self._run(OUTPUTS, pixels)
        return Answers(probabilities=probabilities, embedding=embedding, activation_map=activation_map)

    def strangeness(self, pixels: Pixels) -> Numbers | None:
        """Returns how unlike the training photos photos are [N]; None if the file has no such output."""
        return self._run((STRANGENESS,), pixels)[0] if STRANGENESS in self._outputs else None

    def _run(self, names: Sequence[str], pixels: Pixels) -> list[Numbers]:
        parts: list[list[Any]] = [
            list(self._session.run(list(names), {"image": pixels[start : start + _BATCH]}))
            for start in range(0, len(pixels), _BATCH)
        ]
        return [np.concatenate(column) for column in zip(*parts, strict=True)]


def write_probes(
    exported: ExportedModel, photos: Sequence[bytes], directory: Path, *, decision: Decision | None = None
) -> dict[str, Path]:
    """Write `probes.json` and its photos; returns the version's file names and their paths.

    A serving process compares its own path from these bytes to probabilities, label and strangeness (where the file
    has that output) with what is written here. A label that other sums on another machine could turn is left out.
    """
    files: dict[str, Path] = {}
    probes: list[dict[str, object]] = []
    (directory / "probes").mkdir(exist_ok=True)
    for number, data in enumerate(photos):
        name = f"probes/{number}.jpg"
        files[name] = directory / name
        files[name].write_bytes(data)
        pixels = decode(data, exported.size)[None]
        scores = exported.classify(pixels)[0].tolist()
        probe: dict[str, object] = {"photo": name, "probabilities": [round(score, 6) for score in scores]}
        if is_steady(scores, exported.labels, decision, within=_STEADY):
            probe["label"] = exported.labels[decide(scores, exported.labels, decision)]
        if (strangeness := exported.strangeness(pixels)) is not None:
            probe["strangeness"] = round(float(strangeness[0]), 6)
        probes.append(probe)
    files["probes.json"] = directory / "probes.json"
    files["probes.json"].write_text(json.dumps(probes, indent=1))
    return files


def _divided(model: Classifier, temperature: float) -> Classifier:
    """Returns a copy whose logits and activation map are divided, in its last layer: answering costs nothing more."""
    divided = copy.deepcopy(model)
    with torch.no_grad():
        for numbers in divided.head.parameters():
            numbers.div_(temperature)
    return divided


class _Served(nn.Module):
    """The network with all that production needs around it."""

    def __init__(self, model: Classifier) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Pixels to probabilities, embedding and activation map."""
        logits, embedding, activation = self.model.explain(to_photos(image))
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
