"""ONNX Runtime's execution providers by short names, with the CPU as fallback.

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
    """Unknown name of an execution provider."""


def parse_providers(text: str) -> tuple[str, ...]:
    """Returns the providers of `tensorrt,cuda,cpu`, by preference; empty: the CPU. Raises `ProviderUnknown`."""
    names = tuple(name.strip().lower() for name in text.split(",") if name.strip())
    for name in names:
        if name not in NAMES:
            raise ProviderUnknown(f"{name!r} is none of {', '.join(NAMES)}.")
    return tuple(dict.fromkeys(names)) or CPU_ONLY


def choose_providers(wanted: tuple[str, ...], available: Collection[str]) -> list[str]:
    """Returns ONNX Runtime's names of the wanted providers that this build has; the CPU comes last."""
    names = [NAMES[name] for name in wanted if NAMES[name] in available]
    return [name for name in names if name != NAMES["cpu"]] + [NAMES["cpu"]]


def fell_back(wanted: tuple[str, ...], used: list[str]) -> bool:
    """Returns whether the used provider is not the preferred one."""
    return not used or used[0] != NAMES[wanted[0]]
