"""The gates of a stack: the values for a new job, and the results of a version."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any, cast

from petpark.errors import GateLoosened
from registry.gates import MODEL_GATES, State, Stricter, states
from registry.layout import Role, blob_key

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
    """By how much it passed or failed, or why it could not be measured."""
    advice: str = ""

    @property
    def passed(self) -> bool:
        """Whether it is not against the version."""
        return self.state is State.PASSED


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """How a version did, at all gates; empty for one for which no gate was checked."""

    version: int
    verdicts: tuple[Verdict, ...]
    temperature: float | None = None
    """Above 1: the model is surer than it should be."""
    weakest: str | None = None
    """The corruption of pictures that costs most accuracy."""
    incumbent: int | None = None
    """The version that was in prod then."""
    continued: bool = False
    """Whether it went on from the weights of that version."""

    @property
    def failed(self) -> tuple[Verdict, ...]:
        """Those that it was measured at and did not pass."""
        return tuple(verdict for verdict in self.verdicts if verdict.state is State.FAILED)

    @property
    def unmeasured(self) -> tuple[Verdict, ...]:
        """Those that could not be measured, and count against it all the same."""
        return tuple(verdict for verdict in self.verdicts if verdict.state is State.UNMEASURED)


def in_force(target: Target) -> Gates:
    """The gates that the stack declares; petpark's own value where it leaves one out. SpecMalformed."""
    from training.plan import Gates

    return Gates(**target.outputs.gates.model)


def plan(target: Target, gates: Sequence[str], checks: Sequence[str]) -> EvaluationPlan:
    """The gates and checks of a new job: the stack's, made stricter by `gates` and changed by `checks` (`name=value`).

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
            next_step="Leave it out; or change petpark:gates in the YAML of the stack that owns the platform, for "
            "everybody, then pulumi up.",
            loosened=loosened,
        )
    declared = cast("Mapping[str, Any]", target.outputs.gates.checks)
    return EvaluationPlan(gates=asked, checks=Checks(**declared).with_settings(checks))


def described(gates: Gates) -> dict[str, str]:
    """Each gate that is on, as a bound."""
    return {
        name: f"{'at least' if MODEL_GATES[name].stricter is Stricter.HIGHER else 'at most'} {value:g}"
        for name, value in asdict(gates).items()
        if value != MODEL_GATES[name].off
    }


def judgement(target: Target, number: int) -> Judgement:
    """How version `number` did; raises the registry's `VersionMissing`, `FileCorrupted`."""
    from registry.versions.catalog import Catalog

    # As the publisher, who trains: anyone who waits for a job need not be able to take another role.
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
    """How a version with these metrics did, without the reasons."""
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
