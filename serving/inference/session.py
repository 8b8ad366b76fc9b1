"""An ONNX Runtime session: from pixels to probabilities, independent of photos, files and HTTP."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import onnxruntime

from serving.inference.execution_providers import CPU_ONLY, choose_providers

type Pixels = npt.NDArray[np.uint8]
type Scores = npt.NDArray[np.float32]

IMAGE = "image"
OUTPUTS = ("probabilities", "embedding", "activation_map")
STRANGENESS = "strangeness"
"""An output of versions that can abstain; older ones lack it."""


class ModelInvalid(ValueError):
    """A file is not a model with the required interface; the message has the difference."""


@dataclass(frozen=True, kw_only=True)
class Answers:
    """All outputs of a model for N images."""

    probabilities: Scores
    """[N, classes]"""
    embedding: Scores
    """[N, d]"""
    activation_map: Scores
    """[N, classes, h, w]: class activation maps"""


class Session:
    """One model in memory. Thread-safe."""

    def __init__(self, model: Path, *, threads: int = 1, providers: tuple[str, ...] = CPU_ONLY) -> None:
        """Load `model`; `threads` per call, on the first of `providers` that this machine has.

        Use one thread if calls already run in parallel, one per core: more would only make them wait for each other.
        Raises `ModelInvalid`.
        """
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        try:
            available = cast("list[str]", onnxruntime.get_available_providers())
            chosen = choose_providers(providers, available)
            self._session = onnxruntime.InferenceSession(model, options, providers=chosen)
        except Exception as error:  # onnxruntime's errors share no base class
            raise ModelInvalid(f"ONNX Runtime cannot load {model.name}: {error}") from error
        metadata = cast("Mapping[str, str]", self._session.get_modelmeta().custom_metadata_map)
        self.labels = _labels(metadata)
        self.size = _size(metadata)
        self._check_interface()
        has_strangeness = STRANGENESS in [str(item.name) for item in cast("list[Any]", self._session.get_outputs())]
        self.output_names: tuple[str, ...] = (*OUTPUTS, STRANGENESS) if has_strangeness else OUTPUTS

    @property
    def providers(self) -> list[str]:
        """Returns ONNX Runtime's names of the used execution providers, best first."""
        return list(self._session.get_providers())

    def probabilities(self, images: Pixels) -> Scores:
        """Returns the probabilities, float32 [N, classes], of uint8 `images` [N, size, size, 3]."""
        return self.outputs(images, ("probabilities",))["probabilities"]

    def answers(self, images: Pixels) -> Answers:
        """Returns all outputs of the model for uint8 `images` [N, size, size, 3]."""
        return Answers(**self.outputs(images, OUTPUTS))

    def outputs(self, images: Pixels, names: tuple[str, ...]) -> dict[str, Scores]:
        """Returns only the outputs `names`."""
        values = cast("list[Scores]", self._session.run(list(names), {IMAGE: images}))
        return dict(zip(names, values, strict=True))

    def _check_interface(self) -> None:
        inputs = {item.name: str(item.type) for item in cast("list[Any]", self._session.get_inputs())}
        if inputs != {IMAGE: "tensor(uint8)"}:
            raise ModelInvalid(f"expected one input {IMAGE}: tensor(uint8); the file has {inputs}")
        outputs = [str(item.name) for item in cast("list[Any]", self._session.get_outputs())]
        missing = [name for name in OUTPUTS if name not in outputs]
        if missing:
            raise ModelInvalid(f"expected outputs {', '.join(OUTPUTS)}; the file lacks {', '.join(missing)}")


def _labels(metadata: Mapping[str, str]) -> tuple[str, ...]:
    try:
        labels = json.loads(metadata["labels"])
    except (KeyError, ValueError):
        raise ModelInvalid("the file's metadata has no `labels` (a JSON list of class names)") from None
    if not isinstance(labels, list) or len(cast("list[object]", labels)) < 2:
        raise ModelInvalid(f"the file's `labels` are {labels!r}; expected two class names or more")
    return tuple(str(label) for label in cast("list[object]", labels))


def _size(metadata: Mapping[str, str]) -> int:
    try:
        size = int(metadata["size"])
    except (KeyError, ValueError):
        raise ModelInvalid("the file's metadata has no `size` (pixels along one side)") from None
    if not 8 <= size <= 4096:
        raise ModelInvalid(f"the file's `size` is {size}; expected 8 to 4096 pixels")
    return size
