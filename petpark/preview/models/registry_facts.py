"""Facts from the registry on active versions, as plain data for a page or a record."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from petpark.models import model_versions
from petpark.models.gates import EVALUATION
from registry.gates import MODEL_GATES, open_gates
from registry.layout.model_store import blob_key
from registry.layout.roles import Role

if TYPE_CHECKING:
    from petpark.targets.target import Target
    from registry.version import Version

_BOUNDS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "accuracy": ("accuracy_low",),
        "slice_gap": ("slice_gap_high",),
        "calibration_error": ("calibration_error",),
        "robustness_drop": ("robustness_drop_high",),
        "consistency": ("consistency_low",),
        **{name: (f"{name}_unseen_low", f"{name}_low") for name in MODEL_GATES if name.startswith("abstention_")},
    }
)
"""Gate -> metrics with the bound that it compares (`training.evaluation.gates`); the first one found counts."""

UNTOLD: Final = frozenset({"luck"})
"""Gates that compare with the version that was active during the training; stored metrics do not suffice."""


def read(target: Target) -> dict[str, Any]:
    """Returns the channels, and metrics, bounds, open gates and the last decision of each active version.

    No names of people. Raises the registry's and boto3's errors.
    """
    heads = {name: head.version for name, head in sorted(model_versions.channel_heads(target).items())}
    return {
        "model": target.outputs.model,
        "channels": heads,
        "versions": {str(number): _version(target, number) for number in sorted({*heads.values()})},
    }


def _version(target: Target, number: int) -> dict[str, Any]:
    standing = model_versions.standing(target, number)
    version = standing.version
    decided = next((each.certificate for each in reversed(standing.certificates) if each.certificate), None)
    return {
        "metrics": dict(version.metrics),
        "bounds": bounds(version.metrics, _evaluation(target, version)),
        "open_gates": sorted(open_gates(version.metrics)),
        "certificate": decided and {"decision": decided.decision, "expires_at": decided.expires_at},
    }


def bounds(metrics: Mapping[str, float], evaluation: Mapping[str, Any]) -> dict[str, float]:
    """Returns by gate the value that it compares, if the version's metrics or its `evaluation.json` have it."""
    found = {
        gate: metrics[name]
        for gate, names in _BOUNDS.items()
        if (name := next((each for each in names if each in metrics), None)) is not None
    }
    if classes := (evaluation.get("evaluation") or {}).get("classes"):
        found["recall"] = float(min(each["recall_interval"][0] for each in classes))
    if (latency := evaluation.get("latency")) is not None:
        found["milliseconds"] = float(latency["p99"])
    return dict(sorted(found.items()))


def _evaluation(target: Target, version: Version) -> Mapping[str, Any]:
    from registry.encoding import sha256_hex
    from registry.errors import FileCorrupted

    file = version.file(EVALUATION)
    if file is None:
        return {}
    body = target.store(target.outputs.model_store, role=Role.READER).get(blob_key(version.model, file.sha256))
    if sha256_hex(body) != file.sha256:
        raise FileCorrupted(EVALUATION, expected=f"sha256 {file.sha256}", actual=f"sha256 {sha256_hex(body)}")
    return json.loads(body)
