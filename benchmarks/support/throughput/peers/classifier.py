"""What all peers share: the decode of their own examples (Pillow, bilinear) and the same model, one thread a call.

`MODEL` is the ONNX file, `PORT` where to listen, `WORKERS` how many processes, `DECODE` how photos are decoded.
"""

import io
import os

import numpy as np
import onnxruntime
from PIL import Image

PORT = int(os.environ["PORT"])
WORKERS = int(os.environ["WORKERS"])
LABELS = ("cat", "dog")
SIZE = 224


def decode(photo: bytes) -> np.ndarray:
    """Pixels [224, 224, 3]."""
    image = Image.open(io.BytesIO(photo))
    if os.environ["DECODE"] == "tuned":
        image.draft("RGB", (SIZE, SIZE))  # libjpeg then decodes at the smallest scale that is large enough
    return np.asarray(image.convert("RGB").resize((SIZE, SIZE), Image.Resampling.BILINEAR))


class Classifier:
    """The model and its response."""

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(os.environ["MODEL"], options, providers=["CPUExecutionProvider"])

    def scores(self, pixels: np.ndarray) -> np.ndarray:
        """Of one photo."""
        return self._session.run(["probabilities"], {"image": pixels[np.newaxis]})[0][0]

    def classify(self, photo: bytes) -> dict:
        """Returns the response for a photo's bytes."""
        return answer(self.scores(decode(photo)))


def answer(scores: np.ndarray) -> dict:
    """Returns petpark's response without its version fields."""
    return {
        "label": LABELS[int(scores.argmax())],
        "probabilities": dict(zip(LABELS, scores.tolist(), strict=True)),
    }
