"""What a job ran on, and how much of it was used: facts for comparing runs and choosing an instance."""

import os
import platform
import resource
import time
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Final

import torch

_LIBRARIES: Final = ("torch", "torchvision", "numpy", "pillow", "onnx", "onnxruntime")


def describe() -> dict[str, str | int | float]:
    """Returns processor, cores, memory, GPUs and library versions of this machine. Linux."""
    facts: dict[str, str | int | float] = {
        "processor": _processor(),
        "cores": os.process_cpu_count() or 1,
        "threads": torch.get_num_threads(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "gpus": torch.cuda.device_count(),
    }
    if torch.cuda.is_available():
        facts["gpu"] = torch.cuda.get_device_name()
        facts["gpu_memory_gib"] = round(torch.cuda.get_device_properties(0).total_memory / 2**30, 1)
    return facts | {name: metadata.version(name) for name in _LIBRARIES}


class Usage:
    """What this process used since it was made."""

    def __init__(self) -> None:
        self._cpu, self._wall = time.process_time(), time.monotonic()
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()

    def so_far(self) -> dict[str, float]:
        """Returns `cpu_cores` (mean busy) and `memory_gib` (maximum); for a GPU `gpu_memory_gib`, `gpu_percent`."""
        wall = max(time.monotonic() - self._wall, 1e-9)
        used = {
            "cpu_cores": round((time.process_time() - self._cpu) / wall, 2),
            "memory_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 3),  # Linux says KiB
        }
        if torch.cuda.is_available():
            used["gpu_memory_gib"] = round(torch.cuda.max_memory_allocated() / 2**30, 3)
            with suppress(ModuleNotFoundError, RuntimeError):  # unknown without NVIDIA's management library
                used["gpu_percent"] = float(torch.cuda.utilization())
        return used


def _processor() -> str:
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        return names[0] if names else platform.machine()
    return platform.machine()
