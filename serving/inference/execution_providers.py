"""What a model computes on: ONNX Runtime's execution providers, by short names, with the CPU behind them all.

https://onnxruntime.ai/docs/execution-providers/
"""

from collections.abc import Collection, Mapping
from types import MappingProxyType

NAMES: Mapping[str, str] = MappingProxyType(
    {
        "tensorrt": "TensorrtExecutionProvider",
        "cuda": "CUDAExecutionProvider",
        "openvino": "OpenVINOExecutionProvider",
        "cpu": "CPUExecutionProvider",
    }
)
CPU_ONLY = ("cpu",)


class ProviderUnknown(ValueError):
    """A name that stands for no execution provider."""


def parse_providers(text: str) -> tuple[str, ...]:
    """Read `tensorrt,cuda,cpu`: what is wanted, the most wanted first; empty is the CPU. Raises `ProviderUnknown`."""
    names = tuple(name.strip().lower() for name in text.split(",") if name.strip())
    for name in names:
        if name not in NAMES:
            raise ProviderUnknown(f"{name!r} is none of {', '.join(NAMES)}.")
    return tuple(dict.fromkeys(names)) or CPU_ONLY


def choose_providers(wanted: tuple[str, ...], available: Collection[str]) -> list[str]:
    """Returns ONNX Runtime's names of those wanted that this build of it has; the CPU, which can all, comes last."""
    names = [NAMES[name] for name in wanted if NAMES[name] in available]
    return [name for name in names if name != NAMES["cpu"]] + [NAMES["cpu"]]


def fell_back(wanted: tuple[str, ...], used: list[str]) -> bool:
    """Whether something else computes than what was most wanted."""
    return not used or used[0] != NAMES[wanted[0]]
