"""The last screen of a rehearsal: its results, where its pages are, and what to do next."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from registry.identity import person
from rehearsal.report.steps import duration
from rehearsal.report.summary import HTML_NAME, JSON_NAME, Accuracy, RehearsalFacts, headline

_NEXT: Final = (
    ("leave it running, and use it", "make demo KEEP=1"),
    ("with your own photos", "make demo PHOTOS=dir"),
    ("on AWS", 'README.md, "Deploy it"'),
)


def show(console: Console, facts: RehearsalFacts, directory: Path) -> None:
    """Print the result. Long values are wrapped within their column."""
    console.print()
    console.print(headline(facts), style="bold")
    console.print(_grid(list(results(facts, directory))))
    if facts.usage:
        console.print("\nIt is running. To use it:")
        for what, command in facts.usage:  # one line each, so that it can be copied whole
            console.print(f"  [dim]{what}[/dim]\n    [bold]{command}[/bold]", soft_wrap=True, highlight=False)
    else:
        console.print("\nNext:")
        console.print(_grid(list(_NEXT)))


def results(facts: RehearsalFacts, directory: Path) -> Iterator[tuple[str, str]]:
    """The results, in rows: (what, result)."""
    if facts.dataset is not None:
        labels = ", ".join(f"{count:,} {label}" for label, count in sorted(facts.dataset.labels.items()))
        yield "photos", f"{facts.dataset.photos:,} ({labels})"
    if facts.accuracy is not None:
        yield "accuracy", _accuracy(facts.accuracy)
    if facts.balanced_accuracy is not None:
        yield "balanced accuracy", f"{_accuracy(facts.balanced_accuracy)}; every class has the same weight"
    if certified := [person(step.by) for step in facts.steps if step.name.startswith("certify") and step.by]:
        yield "certified by", certified[-1]
    if facts.rolled_back_in is not None:
        yield "rollback", f"{facts.rolled_back_in:.1f} s until every endpoint served the previous version"
    if facts.traffic is not None:
        yield "requests lost", f"{len(facts.traffic.failures)} of {facts.traffic.requests:,} during both moves"
    yield "time", duration(facts.seconds)
    yield "diagrams", str(directory / HTML_NAME)
    yield "for programs", str(directory / JSON_NAME)


def _accuracy(found: Accuracy) -> str:
    return f"{found.value:.1%} of {found.n:,} unseen photos (95 % interval {found.low:.1%} to {found.high:.1%})"


def _grid(rows: list[tuple[str, str]]) -> Table:
    table = Table.grid(padding=(0, 2), pad_edge=True)
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    for row in rows:
        table.add_row(*row)
    return table
