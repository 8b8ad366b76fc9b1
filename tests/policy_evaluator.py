"""The rehearsal's evaluation of policies, by itself: it belongs to another environment but needs nothing of it."""

import importlib.util
import sys
from typing import Any

from rehearsal.emulator import PLUGIN


def load() -> Any:
    """The plugin's module."""
    spec = importlib.util.spec_from_file_location("policy", PLUGIN / "petpark_emulator" / "access" / "policy.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


policy = load()
