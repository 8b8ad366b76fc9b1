"""The effects of a change on models: the served version, its certificate's validity, and the results of its gates.

Pure. `petpark.preview.models.registry_facts` reads the registry's content as plain data.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any, Final

from petpark.preview.page import code, escape
from petpark.preview.plan import Figure, Finding, Models, Plan
from registry.channel_policy import STRICT, ChannelPolicy
from registry.encoding import parse_time
from registry.gates import MODEL_GATES, DataGates, Gate, ModelGates, StackGates, Stricter
from registry.intervals import recovered_difference

_SOON: Final = 30
"""A certificate that expires in fewer days is reported."""
_SHOWN: Final = 30


@dataclass(frozen=True, kw_only=True)
class Rules:
    """A stack's declarations on models, deployed or planned."""

    model: str
    channel: str
    """The channel that its endpoint follows."""
    gates: StackGates
    channels: Mapping[str, ChannelPolicy]
    require_certificate: bool = False
    """Whether the endpoint itself requires a certificate; not known of a deployed stack."""


@dataclass(frozen=True, kw_only=True)
class _Version:
    number: int
    facts: Mapping[str, Any]

    @property
    def metrics(self) -> Mapping[str, float]:
        return self.facts["metrics"]


def found(registry: Mapping[str, Any], source: str, now: Rules, then: Rules, *, at: datetime) -> Models:
    """Returns what `then` would change. Raises ValueError, LookupError or TypeError for malformed facts."""
    heads: Mapping[str, int] = registry["channels"]
    versions = {
        int(number): _Version(number=int(number), facts=facts) for number, facts in registry["versions"].items()
    }
    if then.model != registry["model"]:
        return Models(source=source, problem=f"the model would be {then.model}; only {registry['model']} was read")
    before, after = (versions.get(heads.get(each.channel, 0)) for each in (now, then))
    moved = before is not None and after is not None and before.number != after.number
    return Models(
        source=source,
        before=_follows(now.channel, before),
        after=_follows(then.channel, after),
        figures=tuple(_figures(before, after)) if moved and before and after else (),
        findings=(
            *_certificate(then, after, at),
            *_policies(now, then, heads, versions, at),
            *_gates(now, then, heads, versions),
        ),
    )


def section(plan: Plan) -> str:
    """Returns the page's section on one stack's models, in Markdown."""
    title = f"### Models of stack {escape(plan.stack)}"
    models = plan.models
    if models is None:
        return f"{title}\n\nNot checked: this plan was saved without them."
    if models.problem:
        return f"{title}\n\nNot checked: {code(models.problem[:500])}"
    lines = [title, "", f"The endpoint follows {_move(models)} ({escape(models.source[:200])})."]
    if models.figures:
        lines += ["", "| metric | now | with this change | difference |", "|---|---|---|---|"]
        lines += [
            f"| {' | '.join(escape(each[:100]) for each in (one.name, one.before, one.after, one.difference))} |"
            for one in models.figures[:_SHOWN]
        ]
    findings = sorted(models.findings, key=lambda each: not each.serious)
    if findings:
        lines.append("")
    lines += [f"- {'✗' if each.serious else 'ℹ'} {escape(each.text[:500])}" for each in findings[:_SHOWN]]
    if len(findings) > _SHOWN:
        lines.append(f"- … and {len(findings) - _SHOWN} more")
    return "\n".join(lines)


def _move(models: Models) -> str:
    before, after = escape(models.before[:200]), escape(models.after[:200])
    return f"{after}, as now" if before == after else f"**{after}** instead of {before}"


def _follows(channel: str, version: _Version | None) -> str:
    return f"channel {channel}, " + ("which has no version" if version is None else f"version {version.number}")


def _figures(before: _Version, after: _Version) -> Iterator[Figure]:
    """The metrics with intervals that both versions have, and their differences."""
    for name in sorted(before.metrics.keys() & after.metrics.keys()):
        sides = [_bounded(version.metrics, name) for version in (after, before)]
        if sides[0] is None or sides[1] is None:
            continue
        (new, new_bounds), (old, old_bounds) = sides[0], sides[1]
        low, high = recovered_difference(new, new_bounds, old, old_bounds)
        beyond = "" if low <= 0 <= high else ", beyond chance"
        yield Figure(
            name=name,
            before=_interval(old, old_bounds),
            after=_interval(new, new_bounds),
            difference=f"{new - old:+.3f} ({low:+.3f} to {high:+.3f}){beyond}",
        )


def _bounded(metrics: Mapping[str, float], name: str) -> tuple[float, tuple[float, float]] | None:
    low, high = metrics.get(f"{name}_low"), metrics.get(f"{name}_high")
    return None if low is None or high is None else (metrics[name], (low, high))


def _interval(value: float, bounds: tuple[float, float]) -> str:
    return f"{value:.3f} ({bounds[0]:.3f} to {bounds[1]:.3f})"


def _certificate(then: Rules, version: _Version | None, at: datetime) -> Iterator[Finding]:
    if version is None:
        yield Finding(text=f"channel {then.channel} has no version: the endpoint would return 503", serious=True)
        return
    needed = then.require_certificate or then.channels.get(then.channel, STRICT).certificate
    state, valid = _worth(version, at)
    consequence = ""
    if not valid:
        consequence = ", and its endpoint does not serve one without" if then.require_certificate else ""
        consequence = consequence or (
            ", and the channel requires one" if needed else ", and no certificate is required"
        )
    yield Finding(text=f"version {version.number} is {state}{consequence}", serious=needed and not valid)


def _worth(version: _Version, at: datetime) -> tuple[str, bool]:
    """The state of the version's last decision at this time as text, and whether it is valid."""
    decision = version.facts["certificate"]
    if decision is None:
        return "not certified", False
    if decision["decision"] != "certified":
        return str(decision["decision"]), False
    ends = parse_time(decision["expires_at"])
    days = (ends - at).days
    if ends <= at:
        return f"certified until {ends:%Y-%m-%d} only: the certificate has expired", False
    soon = f", which is in {days} days" if days < _SOON else ""
    return f"certified until {ends:%Y-%m-%d}{soon}", True


def _policies(
    now: Rules, then: Rules, heads: Mapping[str, int], versions: Mapping[int, _Version], at: datetime
) -> Iterator[Finding]:
    for name in sorted(now.channels.keys() | then.channels.keys()):
        old, new = now.channels.get(name, STRICT), then.channels.get(name, STRICT)
        if old == new:
            continue
        changed = [
            f"{each.name} {_shown(getattr(old, each.name))} → {_shown(getattr(new, each.name))}"
            for each in fields(ChannelPolicy)
            if getattr(old, each.name) != getattr(new, each.name)
        ]
        version = versions.get(heads.get(name, 0))
        against = [] if version is None else list(_against(new, version, at))
        effect = f"; its version {version.number} {' and '.join(against)}" if version and against else ""
        yield Finding(text=f"rule of channel {name}: {', '.join(changed)}{effect}", serious=bool(against))


def _against(policy: ChannelPolicy, version: _Version, at: datetime) -> Iterator[str]:
    """The reasons for which a rule rejects the channel's version."""
    state, valid = _worth(version, at)
    if policy.certificate and not valid:
        yield f"is {state}"
    if policy.gates and version.facts["open_gates"]:
        yield f"did not pass {', '.join(version.facts['open_gates'])}"


def _gates(now: Rules, then: Rules, heads: Mapping[str, int], versions: Mapping[int, _Version]) -> Iterator[Finding]:
    """The results of active versions at changed gates; other changed gates apply to the next training only."""
    old: Mapping[str, float] = asdict(ModelGates()) | dict(now.gates.model)
    new: Mapping[str, float] = asdict(ModelGates()) | dict(then.gates.model)
    for name, gate in MODEL_GATES.items():
        if old[name] == new[name]:
            continue
        limits = f"gate {name}: {_limit(gate, old[name])} → {_limit(gate, new[name])}"
        effects = [
            _would(gate, name, new[name], number, heads, versions.get(number)) for number in sorted({*heads.values()})
        ]
        yield Finding(
            text=f"{limits}; {'; '.join(text for text, _ in effects) or 'no version is active'}. It applies to "
            "versions that are trained from then on",
            serious=any(fails for _, fails in effects),
        )
    for part, before, after in (
        ("gate of data", _data(now), _data(then)),
        ("check", dict(now.gates.checks), dict(then.gates.checks)),
    ):
        for name in sorted(before.keys() | after.keys()):
            if before.get(name) != after.get(name):
                yield Finding(
                    text=f"{part} {name}: {_shown(before.get(name))} → {_shown(after.get(name))}, at the next training"
                )


def _would(
    gate: Gate, name: str, limit: float, number: int, heads: Mapping[str, int], version: _Version | None
) -> tuple[str, bool]:
    """The active version's result at the gate as text, and whether it would fail."""
    where = ", ".join(sorted(channel for channel, head in heads.items() if head == number))
    who = f"version {number} ({where})"
    if gate.is_off(limit):
        return f"{who} would not be checked", False
    bound = None if version is None else version.facts["bounds"].get(name)
    if bound is None:
        return f"the result of {who} is not known: the metric is not stored", False
    passes = gate.meets(bound, limit)
    return f"{who} shows {bound:.4g}, which {'passes' if passes else 'would fail'}", not passes


def _data(rules: Rules) -> dict[str, float]:
    return asdict(DataGates()) | dict(rules.gates.data)


def _limit(gate: Gate, value: float) -> str:
    if gate.is_off(value):
        return "off"
    return f"{'at least' if gate.stricter is Stricter.HIGHER else 'at most'} {value:g}"


def _shown(value: object) -> str:
    match value:
        case None:
            return "none"
        case bool():
            return "yes" if value else "no"
        case tuple():
            return ", ".join(map(str, value)) or "none"
        case _:
            return str(value)
