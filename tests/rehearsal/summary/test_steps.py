"""What is shown while steps run: on a terminal, and in a log."""

from __future__ import annotations

import contextlib
import io
import re
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.text import Text

from rehearsal.report.steps import Step, Steps, duration, time_left, under_way

WIDTH = 80


def console(*, terminal: bool) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=WIDTH)


def text(shown: Console) -> str:
    assert isinstance(shown.file, io.StringIO)
    return shown.file.getvalue()


def test_a_log_has_the_beginning_and_the_end_of_parallel_steps() -> None:
    shown = console(terminal=False)
    with Steps(shown) as steps, steps.step("deploy"), steps.step("draw photos") as inner:
        inner.stage("half of them")
        inner.done("600 photos", by="arn:aws:sts::000000000000:assumed-role/publisher/ana")
    lines = [line.split("  ")[0] for line in text(shown).splitlines()]
    assert lines == ["… deploy", "… draw photos", "… draw photos: half of them", "✓ draw photos", "✓ deploy"]
    assert "ana: 600 photos" in text(shown)
    assert [record.name for record in steps.records] == ["draw photos", "deploy"]


def test_a_log_is_never_silent_for_long() -> None:
    said = threading.Event()

    class Log(io.StringIO):
        def write(self, text: str, /) -> int:
            if "12 of 60" in text:
                said.set()
            return super().write(text)

    with Steps(Console(file=Log(), width=WIDTH), silence=0.01) as steps, steps.step("train") as step:
        step.progress("epoch 12 of 60")
        assert said.wait(30)


def test_a_failed_step_is_recorded_and_no_longer_running() -> None:
    steps = Steps(console(terminal=False))
    with steps, pytest.raises(ValueError, match="no"), steps.step("deploy"):
        raise ValueError("no")
    assert steps.failed
    assert [record.ok for record in steps.records] == [False]


def test_a_step_that_is_still_running_at_the_end_prints_nothing_afterwards() -> None:
    shown = console(terminal=False)
    steps = Steps(shown)
    with contextlib.ExitStack() as later:
        with steps:
            later.enter_context(steps.step("deploy stack prod"))
        before = text(shown)
    assert text(shown) == before


EPOCH = "epoch 2 of 6: accuracy 77.1%, loss 0.485, 3.2 s; 13 s left"


@pytest.mark.parametrize("now", ["", "58 resources", EPOCH, EPOCH * 3])
def test_a_running_step_and_its_progress_fit_a_narrow_terminal(now: str) -> None:
    step = Step("pipeline: train and evaluate")
    step.progress(now)
    lines = under_way(step, WIDTH).plain.splitlines()
    assert max(map(len, lines)) <= WIDTH
    assert re.search(r"pipeline: train and evaluate  [0-9] s", lines[0])
    assert now[: len(EPOCH)] in lines[-1]
    assert len(lines) == (2 if len(now) >= len(EPOCH) else 1)


def test_a_terminal_shows_all_running_steps_and_keeps_only_their_results() -> None:
    shown = console(terminal=True)
    with Steps(shown, expected=98) as steps, steps.step("deploy"), steps.step("draw photos") as step:
        step.done("600 photos of generated cats and dogs, of which some look like others")
    kept = [Text.from_ansi(line).plain for line in text(shown).splitlines() if "draw photos" in line]
    assert any("✓ draw photos" in line and "600 photos of generated cats" in line for line in kept)
    assert all(len(line.rstrip()) <= WIDTH for line in kept)
    assert "… draw photos" not in text(shown)
    assert "of about 1 min 38 s" in text(shown)


@given(st.floats(min_value=0, max_value=10_000))
def test_a_duration_is_right_to_the_second(seconds: float) -> None:
    words = duration(seconds).split()
    read = dict(zip(words[1::2], map(int, words[::2]), strict=True))
    assert read.get("min", 0) * 60 + read["s"] == round(seconds)


def test_the_time_covers_all_steps_and_says_when_they_take_longer() -> None:
    assert time_left(38, 98) == "38 s of about 1 min 38 s"
    assert time_left(120, 98) == "2 min 0 s; expected 1 min 38 s on two idle cores"
