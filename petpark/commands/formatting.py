"""Formatting that several commands about models share."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from petpark.models.model_versions import names_a_version
from petpark.output.console import Line, Output
from petpark.output.formats import bad, good, percent, short
from petpark.output.table import Cell
from registry.identity import person

if TYPE_CHECKING:
    from petpark.models.proof import Proof
    from registry.errors import RegistryError

_HASH = re.compile(r"(sha256:)?[0-9a-f]{64}")
_BOUNDS = ("_low", "_high")


def _checked(text: str) -> str:
    if not names_a_version(text):
        raise typer.BadParameter(f"{text!r} is neither a version number nor the beginning of a digest.")
    return text


def _checked_if_given(text: str) -> str:
    return _checked(text) if text else text


NAMED = "Version number, or at least four digits of its digest."


def named(metavar: str, help: str) -> Any:
    """Make a typer.Argument for a version, as `petpark.models.model_versions.resolve` accepts it."""
    return typer.Argument(metavar=metavar, help=help, callback=_checked)


def named_option(option: str, help: str) -> Any:
    """Make a typer.Option likewise, empty where it is left out."""
    return typer.Option(option, metavar="VERSION", help=help, callback=_checked_if_given)


Named = Annotated[str, named("VERSION", NAMED)]
"""A version of those that there are."""


def accuracy(metrics: Mapping[str, float]) -> str:
    """A version's accuracy, as a share."""
    found = metrics.get("accuracy")
    return "–" if found is None else percent(found)


def measured(metrics: Mapping[str, float]) -> dict[str, Cell]:
    """Each metric as text; the bounds of an interval stand behind what they bound."""
    return {
        name: figure(metrics, name)
        for name in metrics
        if not (name.endswith(_BOUNDS) and name.removesuffix("_low").removesuffix("_high") in metrics)
    }


def figure(metrics: Mapping[str, float], name: str) -> str:
    """One metric with its interval, if it has one; a dash if there is no such metric."""
    if name not in metrics:
        return "–"
    low, high = (metrics.get(name + bound) for bound in _BOUNDS)
    interval = "" if low is None or high is None else f" ({low:.4g} to {high:.4g})"
    return f"{metrics[name]:.4g}{interval}"


def brief(value: str) -> str:
    """A fact of a version's lineage as people compare it: a hash by its first digits, a person by name."""
    return short(value) if _HASH.fullmatch(value) else person(value) if value.startswith("arn:") else value


def details(error: RegistryError) -> dict[str, str]:
    """An outcome's text, for a line that reports it."""
    return {"expected": error.expected, "found": error.actual, "next": error.next}


def show_proofs(output: Output, proofs: Sequence[Proof], *, facts: object) -> None:
    """A line for each check, and below it what is wrong."""
    lines = [
        Line(
            mark=good("✓") if proof.error is None else bad("✗"),
            what=proof.what,
            found=proof.detail if proof.error is None else bad(proof.error.outcome),
            details={} if proof.error is None else details(proof.error),
        )
        for proof in proofs
    ]
    output.lines(lines, facts=facts)
