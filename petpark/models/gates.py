"""The gates of a stack: the values for a new job, and the results of a version."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any, cast

from petpark.errors import GateLoosened
from registry.gates import MODEL_GATES, State, Stricter, states
from registry.layout.model_store import blob_key
from registry.layout.roles import Role

if TYPE_CHECKING:
    from petpark.targets.target import Target
    from registry.version import Version
    from training.plan import EvaluationPlan, Gates

EVALUATION = "evaluation.json"
"""The file of a version with all facts of its report."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A version's result at one gate. The texts are empty if the version has none."""

    name: str
    state: State
    asked: str = ""
    found: str = ""
    why: str = ""
    """The margin, or why it could not be measured."""
    advice: str = ""

    @property
    def passed(self) -> bool:
        """Whether the gate does not count against the version."""
        return self.state is State.PASSED


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """A version's results at all gates; empty if none was checked."""

    version: int
    verdicts: tuple[Verdict, ...]
    temperature: float | None = None
    """Above 1: the model is overconfident."""
    weakest: str | None = None
    """The image corruption that costs most accuracy."""
    incumbent: int | None = None
    """The version on channel prod then."""
    continued: bool = False
    """Whether the training started from that version's weights."""

    @property
    def failed(self) -> tuple[Verdict, ...]:
        """The gates that it was measured at and did not pass."""
        return tuple(verdict for verdict in self.verdicts if verdict.state is State.FAILED)

    @property
    def unmeasured(self) -> tuple[Verdict, ...]:
        """The gates that could not be measured, which count against the version, too."""
        return tuple(verdict for verdict in self.verdicts if verdict.state is State.UNMEASURED)


def in_force(target: Target) -> Gates:
    """Returns the stack's declared gates, with petpark's defaults for omitted ones. Raises `SpecMalformed`."""
    from training.plan import Gates

    return Gates(**target.outputs.gates.model)


def plan(target: Target, gates: Sequence[str], checks: Sequence[str]) -> EvaluationPlan:
    """Returns the gates and checks of a new job: the stack's, made stricter by `gates` and changed by `checks`.

    Both are lists of `name=value`.

    Raises `GateLoosened`, or training's `SpecMalformed`, which names the settings that exist.
    """
    from training.plan import Checks, EvaluationPlan

    required = in_force(target)
    asked = required.with_settings(gates)
    before: Mapping[str, float] = asdict(required)
    loosened = {name: value for name, value in asdict(asked).items() if MODEL_GATES[name].loosens(before[name], value)}
    if loosened:
        names = "; ".join(f"{name}={value:g}, the stack {before[name]:g}" for name, value in loosened.items())
        raise GateLoosened(
            f"--gate can only be stricter than the stack's gates: {names}.",
            next_step="Omit it; or change petpark:gates in the YAML of the stack that owns the platform, for "
            "everybody, then pulumi up.",
            loosened=loosened,
        )
    declared = cast("Mapping[str, Any]", target.outputs.gates.checks)
    return EvaluationPlan(gates=asked, checks=Checks(**declared).with_settings(checks))


def described(gates: Gates) -> dict[str, str]:
    """Returns each gate that is on with its bound as text."""
    return {
        name: f"{'at least' if MODEL_GATES[name].stricter is Stricter.HIGHER else 'at most'} {value:g}"
        for name, value in asdict(gates).items()
        if value != MODEL_GATES[name].off
    }


def judgement(target: Target, number: int) -> Judgement:
    """Returns the results of version `number`. Raises the registry's `VersionMissing`, `FileCorrupted`."""
    from registry.versions.catalog import Catalog

    # As publisher, the role that trains: a person who waits for a job may have no other role.
    store = target.store(target.outputs.model_store, role=Role.PUBLISHER)
    version = Catalog(store, target.outputs.model).version(number)
    file = version.file(EVALUATION)
    if file is None:
        return briefly(version.number, version.metrics)
    from registry.encoding import sha256_hex
    from registry.errors import FileCorrupted

    body = store.get(blob_key(version.model, file.sha256))
    if sha256_hex(body) != file.sha256:
        raise FileCorrupted(EVALUATION, expected=f"sha256 {file.sha256}", actual=f"sha256 {sha256_hex(body)}")
    return _read(version, json.loads(body))


def briefly(version: int, metrics: Mapping[str, float]) -> Judgement:
    """Returns the results of a version with these metrics, without the reasons."""
    verdicts = tuple(Verdict(name=name, state=state) for name, state in states(metrics).items())
    return Judgement(version=version, verdicts=verdicts)


def _read(version: Version, facts: Mapping[str, Any]) -> Judgement:
    """Read `evaluation.json`. The version's metrics decide; the file has the reasons."""
    by_name = {entry["name"]: entry for entry in facts.get("gates", ())}
    verdicts = tuple(
        Verdict(
            name=verdict.name,
            state=verdict.state,
            **{part: by_name.get(verdict.name, {}).get(part, "") for part in ("asked", "found", "why", "advice")},
        )
        for verdict in briefly(version.number, version.metrics).verdicts
    )
    curves: Mapping[str, Sequence[Sequence[Any]]] = facts.get("robustness", {}).get("curves", {})
    shares = {name: fmean(point[0] for point in curve) for name, curve in curves.items()}
    compared: Mapping[str, Any] = facts.get("comparison") or {}
    return Judgement(
        version=version.number,
        verdicts=verdicts,
        temperature=version.metrics.get("temperature"),
        weakest=min(shares, key=lambda name: shares[name]) if shares else None,
        incumbent=compared.get("version"),
        continued=compared.get("continued", False),
    )
