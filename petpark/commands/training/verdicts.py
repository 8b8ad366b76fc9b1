"""Failed gates in the output of job commands: by how much, and what to try."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from petpark.output.console import Columns
from petpark.output.formats import bad, good
from petpark.output.table import Cell

if TYPE_CHECKING:
    from petpark.jobs.job_details import JobDetails
    from petpark.models.gates import Judgement, Verdict
    from petpark.output.console import Section


def failures(found: JobDetails) -> dict[str, Section]:
    """The gates that its version did not pass, and the commands to go back a step; no section for none."""
    judged = found.judgement
    if judged is None or not (judged.failed or judged.unmeasured):
        return {}
    advised = [verdict for verdict in (*judged.failed, *judged.unmeasured) if verdict.advice]
    return {
        "Gates failed": Columns(("gate", "must be", "found", "why"), [_row(verdict) for verdict in judged.failed]),
        "Gates not measured": {verdict.name: bad(_why_not(verdict)) for verdict in judged.unmeasured},
        "What to check": {verdict.name: verdict.advice for verdict in advised},
        "What to try": {remedy.what: remedy.command for remedy in found.remedies},
    }


def facts(found: JobDetails) -> dict[str, Any]:
    """The same for programs: every gate, and what to try."""
    judged = found.judgement
    verdicts = judged.verdicts if judged else ()
    return {
        "gates": [{**asdict(verdict), "passed": verdict.passed} for verdict in verdicts],
        "gates_failed": [verdict.name for verdict in judged.failed] if judged else [],
        "gates_unmeasured": [verdict.name for verdict in judged.unmeasured] if judged else [],
        "next": [asdict(remedy) for remedy in found.remedies],
    }


def outcome(judged: Judgement | None) -> Cell:
    """How many gates were passed."""
    if judged is None or not judged.verdicts:
        return "not judged"
    passed, of = sum(verdict.passed for verdict in judged.verdicts), len(judged.verdicts)
    summary = f"{passed} of {of} passed"
    if judged.unmeasured:
        summary += f", {len(judged.unmeasured)} not measured"
    return good(summary) if passed == of else bad(summary)


def _row(verdict: Verdict) -> tuple[Cell, ...]:
    why = verdict.why or "see its report"
    return (verdict.name, verdict.asked or "–", bad(verdict.found or "failed"), why)


def _why_not(verdict: Verdict) -> str:
    return f"because {verdict.why}; counts as failed" if verdict.why else "counts as failed; see its report"
