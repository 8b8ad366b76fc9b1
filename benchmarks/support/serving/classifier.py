"""The classifier that serving is measured with: mobilenet_v3_small to the contract, and a photo for it."""

import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from PIL import Image

import imaging
from benchmarks.support.serving.endpoint_fixture import Fixture
from registry.version import Version
from serving.inference.session import Session

LABELS = ["cat", "dog"]
SIZE = 224


def make_photo(width: int = 640, height: int = 480) -> bytes:
    """Make a JPEG, at 640×480 some 76 kB, with detail at several scales."""
    generator = np.random.default_rng(7)
    layers = [
        Image.fromarray(generator.integers(0, 256, (height // scale, width // scale, 3), dtype=np.uint8)).resize(
            (width, height)
        )
        for scale in (80, 16, 4)
    ]
    mixed = np.mean([np.asarray(layer, dtype=np.float32) for layer in layers], axis=0)
    file = io.BytesIO()
    Image.fromarray(mixed.astype(np.uint8)).save(file, "JPEG", quality=85)
    return file.getvalue()


def make_model(path: Path, *, seed: int = 0) -> Path:
    """Export torchvision's mobilenet_v3_small, untrained, to the contract: speed does not depend on the weights.

    Models of different `seed` differ in all of them, as versions do.
    """
    import torch
    import torchvision

    class Contract(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = torchvision.models.mobilenet_v3_small(weights=None, num_classes=len(LABELS)).eval()
            self.to_classes = torch.nn.Conv2d(576, len(LABELS), 1)

        def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
            features = self.net.features((image.permute(0, 3, 1, 2).float() / 255 - 0.45) / 0.22)
            embedding = self.net.avgpool(features).flatten(1)
            return self.net.classifier(embedding).softmax(1), embedding, self.to_classes(features)

    torch.manual_seed(seed)
    example = torch.zeros(1, SIZE, SIZE, 3, dtype=torch.uint8)
    names = ["probabilities", "embedding", "activation_map"]
    torch.onnx.export(
        Contract().eval(),
        (example,),
        str(path),
        input_names=["image"],
        output_names=names,
        dynamic_axes={name: {0: "n"} for name in ["image", *names]},
        dynamo=False,
    )
    model = onnx.load(path)
    onnx.helper.set_model_props(model, {"labels": json.dumps(LABELS), "size": str(SIZE)})
    onnx.save(model, path)
    return path


def version_files(model: Path, photo: Path, directory: Path) -> dict[str, Path]:
    """The files of a version: `model`, and `photo` as the probe that it has to reproduce."""
    directory.mkdir(parents=True, exist_ok=True)
    session = Session(model)
    scores: Sequence[float] = session.probabilities(imaging.decode(photo.read_bytes(), session.size)[np.newaxis])[
        0
    ].tolist()
    probes = directory / "probes.json"
    probes.write_text(json.dumps([{"photo": "probes/0.jpg", "probabilities": scores}]))
    return {"model.onnx": model, "probes.json": probes, "probes/0.jpg": photo}


def release(at: Fixture, count: int) -> tuple[list[Version], Path]:
    """Publish `count` versions, activate the first, and return them with the photo that callers post."""
    photo = at.directory / "photo.jpg"
    photo.write_bytes(make_photo())
    models = [make_model(at.directory / f"{seed}.onnx", seed=seed) for seed in range(count)]
    versions = [at.publish(version_files(model, photo, at.directory / model.stem), run=model.stem) for model in models]
    at.promote(versions[0])
    return versions, photo
