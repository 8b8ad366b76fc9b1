"""What others named cannot act on the terminal of whoever reads it."""

import errno
import io
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.text import Text

from petpark.failures.failure import Failure, describe
from petpark.output.console import Columns, Line, Output, SafeConsole
from petpark.output.formats import bad

HOSTILE = "cat\x1b[2J\x1b]0;owned\x07\x9b31m\r"


def shown(*, json: bool = False, text: str = HOSTILE) -> str:
    file = io.StringIO()
    console = SafeConsole(file=file, width=400, highlight=False)
    output = Output(json=json, out=console, err=console)
    output.table(("name",), [(text,), (bad(text),)], facts={"name": text}, empty="")
    output.record({text: text}, facts={"name": text})
    output.lines([Line(mark=Text("x"), what=text, found=text, details={text: text})], facts={"name": text})
    output.message(text)
    output.failure(Failure(outcome="Unexpected", message=text, next_step=text, exit_code=1))
    return file.getvalue()


@pytest.mark.parametrize("as_json", [False, True])
def test_a_name_with_escape_sequences_is_shown_and_does_nothing(as_json: bool):
    printed = shown(json=as_json)
    assert not set(printed) & {"\x1b", "\x07", "\x9b", "\r"}
    assert "[2J" in printed


@given(st.text(st.characters(max_codepoint=0xFF), max_size=20))
def test_no_control_character_reaches_a_terminal(text: str):
    allowed = {"\n", "\t"}
    assert (
        not {character for character in shown(text=text) if character < " " or "\x7f" <= character <= "\x9f"} - allowed
    )


def test_json_still_says_exactly_what_the_name_is():
    documents = shown(json=True).split("\n{")
    assert json.loads(documents[0])["name"] == HOSTILE


JOB, INSTANCE, DIGEST = "20261130-015510-3fa9", "i-0123456789abcdef0", "sha256:" + "0123456789abcdef" * 4
COLUMNS = ("job", "asked by", "stage", "epochs", "checkpoints", "dataset", "instance", "result")
ROW = (
    JOB,
    "alexandra",
    "running",
    "12",
    "12",
    "3fa9d01c77e0",
    INSTANCE,
    "version 4, failed robustness_drop, slice_gap",
)


def at(width: int, *, terminal: bool = True) -> tuple[Output, io.StringIO]:
    file = io.StringIO()
    console = SafeConsole(file=file, width=width, highlight=False, force_terminal=terminal, color_system=None)
    return Output(json=False, out=console, err=console), file


@pytest.mark.parametrize("width", [40, 60, 80, 132, 400])
def test_an_id_in_a_table_is_never_broken_however_narrow_the_terminal(width: int):
    output, file = at(width)
    output.table(COLUMNS, [ROW], facts=None, empty="")
    lines = file.getvalue().splitlines()
    for each in (JOB, INSTANCE, "3fa9d01c77e0"):
        assert sum(each in line for line in lines) == 1, each
    assert max(map(len, lines)) <= width


@pytest.mark.parametrize("width", [40, 80])
def test_an_id_that_is_longer_than_the_terminal_is_one_line_all_the_same(width: int):
    output, file = at(width)
    output.record({"dataset": DIGEST, "photos": "48"}, facts=None)
    output.sections({"Job": {"digest": DIGEST}, "Files": Columns(("name", "sha256"), [("a", DIGEST)])}, facts=None)
    assert sum(DIGEST in line for line in file.getvalue().splitlines()) == 3


@given(
    st.lists(
        st.tuples(
            st.from_regex(r"[0-9a-f]{8,40}", fullmatch=True).filter(lambda word: any(map(str.isdigit, word))),
            st.text("abc żółw", max_size=60),
            st.from_regex(r"i-[0-9a-f]{8,17}0", fullmatch=True),
        ),
        min_size=1,
        max_size=4,
    ),
    st.integers(50, 200),
)
def test_whatever_is_listed_fits_and_its_ids_are_whole(rows: list[tuple[str, str, str]], width: int):
    output, file = at(width)
    output.table(("id", "what it says", "instance"), rows, facts=None, empty="")
    lines = file.getvalue().splitlines()
    assert all(cell_len(line) <= width for line in lines)
    for first, _, last in rows:
        assert any(first in line for line in lines)
        assert any(last in line for line in lines)


def test_a_pipe_gets_a_line_for_each_tenth_of_a_long_command_and_no_more():
    output, file = at(80, terminal=False)
    with output.progress("Ingesting photos") as report:
        for done in range(10_001):
            report(done, 10_000)
    lines = file.getvalue().splitlines()
    assert lines[0] == "Ingesting photos: 0 of 10,000"
    assert lines[-1] == "Ingesting photos: 10,000 of 10,000"
    assert len(lines) == 11


def test_a_pipe_is_told_each_stage_and_a_program_nothing():
    output, file = at(80, terminal=False)
    with output.progress("Examining") as report:
        report(0, 3, "Reading photos")
        report(0, 3, "Training small networks")
    output.stage("epoch 1 of 3")
    assert file.getvalue().splitlines() == [
        "Reading photos: 0 of 3",
        "Training small networks: 0 of 3",
        "epoch 1 of 3",
    ]
    programs, silent = at(80, terminal=False)
    programs = replace(programs, json=True)
    with programs.progress("Examining") as report:
        report(1, 3)
    programs.stage("epoch 1 of 3")
    assert silent.getvalue() == ""


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
@pytest.mark.parametrize("as_json", [False, True])
def test_what_the_terminals_encoding_lacks_is_an_escape(
    encoding: str, as_json: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "a – \U0001f436 \udc80"  # the last: an undecodable byte of a file's name
    raw = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(raw, encoding=encoding, write_through=True))
    Output.open(json=as_json).show(Text(said), facts={"name": said})
    printed = raw.getvalue().decode(encoding)
    assert "\\udc80" in printed
    if as_json:
        assert json.loads(printed) == {"name": said}


PRINTS = """
import sys
from petpark.output.console import Output
from petpark.output.streams import written_out
with written_out():
    output = Output.open(json="json" in sys.argv)
    output.table(("a",), [("b",)] * int(sys.argv[1]), facts=["b"] * int(sys.argv[1]), empty="")
    raise SystemExit(0)
"""


@pytest.mark.parametrize("count", ["1", "9999"])
@pytest.mark.parametrize("form", ["json", "people"])
def test_a_command_whose_output_nobody_reads_ends_quietly_and_not_with_an_answer(form: str, count: str):
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([sys.executable, "-c", PRINTS, count, form], stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert (done.returncode, done.stderr) == (2, b"")


def test_a_full_disk_behind_the_output_is_told_and_a_closed_output_is_nothing_wrong():
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run([sys.executable, "-c", PRINTS, "1", "json"], stdout=full, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (2, b"OutputNotWritten: /dev/full: No space left on device.\n")
    script = f"import os, sys\nos.close(1)\nsys.stdout = None\n{PRINTS}"
    assert subprocess.run([sys.executable, "-c", script, "1", "people"], stderr=subprocess.PIPE).returncode == 0


COMMAND = """
import sys, types, typer
from petpark.app import Commands
from petpark.lazy_commands import Listed
from petpark.output.console import Output
from petpark.output.streams import written_out
def show(count: int, form: str) -> None:
    output = Output.open(json=form == "json")
    output.table(("a",), [("b",)] * count, facts=["b"] * count, empty="")
sys.modules["shown"] = types.SimpleNamespace(register=lambda app: app.command("show")(show))
class Own(Commands):
    table = {"show": Listed("shown", "x")}
app = typer.Typer(cls=Own)
@app.callback()
def begin() -> None: ...
with written_out():
    app()
"""


@pytest.mark.parametrize("words", [["show", "1", "people"], ["show", "99999", "people"], ["show", "99999", "json"]])
def test_a_full_disk_behind_a_commands_output_is_no_fault_of_petpark(words: list[str]):
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run([sys.executable, "-c", COMMAND, *words], stdout=full, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (2, b"OutputNotWritten: /dev/full: No space left on device.\n")


@pytest.mark.parametrize("name", ["ENOSPC", "EDQUOT", "EFBIG"])
def test_a_file_for_which_there_is_no_space_is_named(name: str):
    failure = describe(OSError(getattr(errno, name), "No space left on device", "/data/reference.npz"))
    assert failure is not None
    assert (failure.outcome, failure.exit_code) == ("DiskFull", 2)
    assert failure.message == "/data/reference.npz could not be written: No space left on device."
    assert describe(OSError(errno.EIO, "Input/output error", "/data/reference.npz")) is None


def test_a_broken_pipe_is_the_outputs_only_where_nobody_reads_that():
    script = "import sys; from petpark.output.streams import unread; sys.exit(unread())"
    reader, writer = os.pipe()
    assert subprocess.run([sys.executable, "-c", script], stdout=writer).returncode == 0
    os.close(reader)
    assert subprocess.run([sys.executable, "-c", script], stdout=writer).returncode == 1
    os.close(writer)
