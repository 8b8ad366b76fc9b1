"""Fine-tuning of a network's last stage, from the linear layer that is the best on its frozen features.

Everything before that stage is frozen, including ImageNet's batch-normalisation statistics. So the frozen part
processes each photo once, in a few views, and its outputs are cached: an epoch of 1,100 photos takes seconds of a CPU.
"""

import copy
import tempfile
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, override

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot

from benchmarks.support.accuracy.frozen import Embedded, Parts, frozen
from benchmarks.support.accuracy.our_training import Lake
from training.fitting.augment import augment, draw, mix
from training.fitting.batches import derive, generator
from training.fitting.optimiser import build_optimiser
from training.fitting.train import learning_rate
from training.hyper_parameters import FOR_TRANSFER, HyperParameters
from training.networks.head import Head
from training.networks.model import Classifier, to_photos

STAGE: Final = 6  # of EfficientNet-Lite's `blocks`: the first that learns; the last convolution learns too
VIEWS: Final = 4  # photo, mirror image, two crops in other light
_PHOTOS: Final = 64  # of a file in the cache
_SCALE: Final = "scale"  # of a group of weights: its learning rate is that of the step times this


@dataclass(frozen=True, kw_only=True)
class Start:
    """What the frozen part sees of N photos."""

    features: Tensor  # float16 [N, VIEWS, C, h, w]
    cpu_seconds: float  # for all of them, decoding included


class Tail(nn.Module):
    """The part that learns: the last stage, the last convolution, the linear layer. Named as in `Classifier`."""

    def __init__(self, model: Classifier, head: Head) -> None:
        super().__init__()
        whole: Any = model.features
        last = nn.Sequential(OrderedDict((str(n), whole.blocks[n]) for n in range(STAGE, len(whole.blocks))))
        self.features = nn.Sequential(
            OrderedDict([("blocks", last), ("conv_head", whole.conv_head), ("bn2", whole.bn2)])
        )
        self.head = model.head
        with torch.no_grad():
            self.head.weight.copy_(head.weight)
            self.head.bias.copy_(head.bias)

    @override
    def forward(self, features: Tensor) -> Tensor:
        """Returns logits."""
        return self.head(self.features(features).mean(dim=(2, 3)))


class Before(nn.Module):
    """The frozen part: uint8 pixels [N, S, S, 3] to the last stage's input."""

    def __init__(self, model: Classifier) -> None:
        super().__init__()
        whole: Any = model.features
        self.normalisation = model.normalisation
        self.parts = nn.Sequential(whole.conv_stem, whole.bn1, *whole.blocks[:STAGE])

    @override
    def forward(self, pixels: Tensor) -> Tensor:
        """Returns features [N, C, h, w]."""
        mean, deviation = (torch.tensor(each).view(1, 3, 1, 1) for each in self.normalisation)
        return self.parts((pixels.permute(0, 3, 1, 2).float() / 255 - mean) / deviation)


def see(lake: Lake, network: str, size: int, cache: Path) -> Start:
    """Run the frozen part on all photos of `lake`; files in `cache` store its outputs, so it can be interrupted."""
    photos = lake.manifest.photos
    cache.mkdir(parents=True, exist_ok=True)
    session: onnxruntime.InferenceSession | None = None
    for begin in range(0, len(photos), _PHOTOS):
        if (path := cache / f"{begin}.pt").exists():
            continue
        started = time.process_time()
        session = session or _session(network, size)
        pixels = lake.pixels(photos[begin : begin + _PHOTOS], size).pixels
        seen = [torch.from_numpy(session.run(None, {"pixels": view.numpy()})[0]) for view in _views(pixels, begin)]
        spent = torch.tensor(time.process_time() - started)
        with tempfile.NamedTemporaryFile(dir=cache, delete=False) as file:
            torch.save({"features": torch.stack(seen, dim=1).half(), "cpu_seconds": spent}, file)
        Path(file.name).replace(path)
    parts = [torch.load(cache / f"{begin}.pt", weights_only=True) for begin in range(0, len(photos), _PHOTOS)]
    return Start(
        features=torch.cat([part["features"] for part in parts]),
        cpu_seconds=float(sum(part["cpu_seconds"] for part in parts)),
    )


def fine_tune(
    network: str,
    start: Start,
    embedded: Embedded,
    parameters: HyperParameters,
    seed: int,
    parts: Parts,
    head: Head,
    layer_decay: float = 1.0,
) -> dict[str, Tensor]:
    """Train, and classify the test photos: logits of the last weights and of averaged ones, each also with flips.

    `head` is the linear layer that the training starts from; `parts.held` is not used.
    """
    learn, test = torch.from_numpy(parts.learn), torch.from_numpy(parts.test)
    model = Tail(frozen(network, len(embedded.labels)), head).eval()  # batch normalisation's statistics stay
    averaged = copy.deepcopy(model).requires_grad_(False)
    optimiser = build_optimiser(model, parameters) if layer_decay == 1 else _layer_wise(model, parameters, layer_decay)
    counts = torch.bincount(embedded.targets[learn], minlength=len(embedded.labels))
    weight = len(learn) / len(embedded.labels) / counts.float()
    batches = len(learn) // parameters.batch_size
    chance, shares = generator(seed, "fine-tuning"), np.random.default_rng(derive(seed, "mixup"))
    step = 0
    for _ in range(parameters.epochs):
        order = learn[torch.randperm(len(learn), generator=chance)]
        for chosen in order[: batches * parameters.batch_size].split(parameters.batch_size):
            views = torch.randint(VIEWS, (len(chosen),), generator=chance)
            features = start.features[chosen, views].float()
            truth = one_hot(embedded.targets[chosen], len(counts)).float()
            if parameters.mixup:
                # Of features, not of photos: manifold mix-up (Verma et al., ICML 2019).
                features, truth = mix(features, truth, float(shares.beta(parameters.mixup, parameters.mixup)))
            loss = cross_entropy(model(features), truth, weight=weight, label_smoothing=parameters.label_smoothing)
            rate = learning_rate(parameters, step=step, steps=batches * parameters.epochs)
            for group in optimiser.param_groups:
                group["lr"] = rate * group.get(_SCALE, 1.0)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            step += 1
            _average(averaged, model, min(parameters.ema_decay, (1 + step) / (10 + step)))
    answers: dict[str, Tensor] = {}
    for name, net in (("last", model), ("averaged", averaged)):
        plain, mirrored = (_answer(net, start.features[test, view]) for view in (0, 1))
        answers |= {name: plain, f"{name}, flips": (plain + mirrored) / 2}
    return answers


def _layer_wise(model: Tail, parameters: HyperParameters, decay: float) -> torch.optim.Optimizer:
    """As `build_optimiser`, but the rate of each block is `decay` times that of the next; the linear layer has all."""
    blocks: dict[str, list[Tensor]] = {}
    for name, weight in model.named_parameters():
        parts = name.split(".")
        depth = 3 if parts[1] == "blocks" else 2 if parts[0] == "features" else 1
        blocks.setdefault(".".join(parts[:depth]), []).append(weight)
    groups: list[dict[str, Any]] = []
    for place, block in enumerate(blocks.values()):
        for weights, fade in (
            ([weight for weight in block if weight.ndim > 1], parameters.weight_decay),
            ([weight for weight in block if weight.ndim <= 1], 0.0),
        ):
            if weights:
                groups.append({"params": weights, "weight_decay": fade, _SCALE: decay ** (len(blocks) - 1 - place)})
    return torch.optim.AdamW(groups, lr=parameters.learning_rate, fused=True)


def _views(pixels: Tensor, place: int) -> Sequence[Tensor]:
    """The photos, their mirror images, and crops in other light: a function of `place`, for the cache has no seed."""
    views = [pixels, pixels.flip(2).contiguous()]
    for view in range(len(views), VIEWS):
        variations = draw(len(pixels), replace(FOR_TRANSFER, views=VIEWS), generator(0, "view", view, place))
        varied = augment(to_photos(pixels), variations, pixels.shape[1])
        views.append(varied.mul(255).round_().clamp_(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous())
    return views


@torch.no_grad()
def _average(averaged: nn.Module, model: nn.Module, decay: float) -> None:
    for slow, fast in zip(averaged.parameters(), model.parameters(), strict=True):
        slow.lerp_(fast, 1 - decay)


@torch.no_grad()
def _answer(model: nn.Module, features: Tensor) -> Tensor:
    return torch.cat([model(part.float()) for part in features.split(_PHOTOS)])


def _session(network: str, size: int) -> onnxruntime.InferenceSession:
    """ONNX Runtime takes a fifth of torch's time for it on a CPU."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "before.onnx"
        torch.onnx.export(
            Before(frozen(network, 2)).eval(),
            (torch.zeros(1, size, size, 3, dtype=torch.uint8),),
            str(path),
            input_names=["pixels"],
            output_names=["features"],
            dynamic_axes={"pixels": {0: "n"}, "features": {0: "n"}},
            dynamo=False,
        )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
