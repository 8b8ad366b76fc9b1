"""The last screen of a rehearsal, on a terminal with 80 columns."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

from rehearsal.report import screen
from rehearsal.report.steps import StepRecord
from tests.rehearsal.summary.conftest import Facts

WIDTH = 80
VERA = "arn:aws:sts::000000000000:assumed-role/certifier/vera"


def shown(facts: Facts, **changes: object) -> list[str]:
    console = Console(file=io.StringIO(), width=WIDTH)
    screen.show(console, facts(**changes), Path(".rehearsal"))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_the_last_screen_says_what_came_of_it_and_what_to_do_next_in_80_columns(facts: Facts) -> None:
    certified = StepRecord(name="certify version 1", seconds=0.1, ok=True, detail="signed", by=VERA)
    lines = shown(facts, steps=[certified], elapsed=98.4)
    text = " ".join(" ".join(lines).split())
    assert max(map(len, lines)) <= WIDTH
    for said in (
        "Version 1 of pets is certified and answers in prod.",
        "1,600 (800 cat, 800 dog)",
        "94.1% of 512 unseen photos",
        "certified by vera",
        "1.7 s until every endpoint served the previous version",
        "0 of 1,000 during both moves",
        "1 min 38 s",
        ".rehearsal/summary.html",
        "make demo PHOTOS=dir",
    ):
        assert said in text


def test_commands_for_a_rehearsal_that_runs_on_are_whole_lines(facts: Facts) -> None:
    command = "curl --noproxy '*' " + "x" * 100
    assert f"    {command}" in shown(facts, usage=[("ask the model", command)])
