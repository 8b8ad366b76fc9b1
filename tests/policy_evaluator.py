"""The rehearsal's evaluation of policies, by itself: it belongs to another environment but needs nothing of it."""

import importlib
import sys
from typing import Any
from unittest.mock import patch

from rehearsal.emulator import PLUGIN

with patch.object(sys, "path", [str(PLUGIN), *sys.path]):
    policy: Any = importlib.import_module("petpark_emulator.access.policy")
    conditions: Any = importlib.import_module("petpark_emulator.access.conditions")
