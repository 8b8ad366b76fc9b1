"""How the commands about jobs say which gates a version failed, by how much, and what to try."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from petpark.output import Cell, Columns, bad, good

if TYPE_CHECKING:
    from petpark.gates import Judgement, Verdict
    from petpark.job_details import JobDetails
    from petpark.output import Section


def failures(found: JobDetails) -> dict[str, Section]:
    """The gates that its version failed, and the commands to go back a step; no section for none."""
    judged = found.judgement
    if judged is None or not judged.failed:
        return {}
    return {
        "Gates failed": Columns(("gate", "must be", "found", "why"), [_row(verdict) for verdict in judged.failed]),
        "What to look at": {verdict.name: verdict.advice for verdict in judged.failed if verdict.advice},
        "What to try": {remedy.what: remedy.command for remedy in found.remedies},
    }


def facts(found: JobDetails) -> dict[str, Any]:
    """The same for programs: every gate, and what to try."""
    verdicts = found.judgement.verdicts if found.judgement else ()
    return {
        "gates": [asdict(verdict) for verdict in verdicts],
        "gates_failed": [verdict.name for verdict in verdicts if not verdict.passed],
        "next": [asdict(remedy) for remedy in found.remedies],
    }


def outcome(judged: Judgement | None) -> Cell:
    """How many gates were passed."""
    if judged is None or not judged.verdicts:
        return "not judged"
    passed, of = len(judged.verdicts) - len(judged.failed), len(judged.verdicts)
    said = f"{passed} of {of} passed"
    return bad(said) if judged.failed else good(said)


def _row(verdict: Verdict) -> tuple[Cell, ...]:
    why = verdict.why or "its report says by how much"
    return (verdict.name, verdict.asked or "–", bad(verdict.found or "failed"), why)
