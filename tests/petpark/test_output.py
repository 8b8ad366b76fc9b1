"""What others named cannot act on the terminal of whoever reads it."""

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.text import Text

from petpark.errors import Failure
from petpark.output import Line, Output, SafeConsole, bad

HOSTILE = "cat\x1b[2J\x1b]0;owned\x07\x9b31m\r"


def shown(*, json: bool = False, text: str = HOSTILE) -> str:
    file = io.StringIO()
    console = SafeConsole(file=file, width=400, highlight=False)
    output = Output(json=json, out=console, err=console)
    output.table(("name",), [(text,), (bad(text),)], facts={"name": text}, empty="")
    output.record({text: text}, facts={"name": text})
    output.lines([Line(mark=Text("x"), what=text, found=text, details={text: text})], facts={"name": text})
    output.say(text)
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
