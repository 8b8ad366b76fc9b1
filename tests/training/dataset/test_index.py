"""A table beside the photos: what is read from it, which rows cost their photo, and which tables are refused."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.dataset.index import Row, read_index
from training.errors import DatasetRefused

CSV = """key,label,camera,captured_at,remark
a/1.jpg,cat,gate,2026-03-01T21:04:05,first
"b,\n2.jpg",dog,,,
"""


def row(label: str, camera: str | None = None, captured_at: str | None = None) -> Row:
    return Row(label=label, camera=camera, captured_at=captured_at)


def test_a_csv_says_what_each_photo_shows_and_who_took_it_when():
    found = read_index("photos.csv", CSV.encode())
    assert found.rows == {"a/1.jpg": row("cat", "gate", "2026-03-01T21:04:05"), "b,\n2.jpg": row("dog")}
    assert not found.refused


def test_json_lines_say_the_same():
    lines = '{"key": "a/1.jpg", "label": "cat", "camera": "gate", "captured_at": null}\n\n{"key":"é","label":"dog"}\n'
    assert read_index("x.JSONL", lines.encode()).rows == {"a/1.jpg": row("cat", "gate"), "é": row("dog")}


def test_a_spreadsheets_byte_order_mark_is_no_part_of_the_heading():
    assert "a" in read_index("p.csv", "\ufeffkey,label\r\na,cat\r\n".encode()).rows


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("2026-03-01 21:04:05", "2026-03-01T21:04:05"),
        ("2026-03-01T21:04", "2026-03-01T21:04:00"),
        ("2026-03-01T21:04:05.678+02:00", "2026-03-01T21:04:05"),
        ("", None),
    ],
)
def test_times_are_the_cameras_own_clock_to_the_second(written: str, read: str | None):
    assert read_index("p.csv", f"key,label,captured_at\na,cat,{written}\n".encode()).rows["a"].captured_at == read


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("a,,gate,", "no label"),
        ("a,cat,gate,yesterday", "captured_at is 'yesterday'; write it as"),
        ("a,cat,gate,2026-03-01", "captured_at"),
    ],
)
def test_a_row_that_cannot_be_used_costs_its_photo_only(line: str, said: str):
    found = read_index("p.csv", f"key,label,camera,captured_at\n{line}\nb,dog,,\n".encode())
    assert set(found.rows) == {"b"}
    assert said in found.refused["a"]
    assert "line 2" in found.refused["a"]


def test_a_photo_described_twice_alike_is_described_and_twice_differently_is_not():
    found = read_index("p.csv", b"key,label\na,cat\na,cat\nb,cat\nb,dog\n")
    assert set(found.rows) == {"a"}
    assert "twice" in found.refused["b"]


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("p.txt", b"", r"neither \.csv nor \.jsonl"),
        ("p.csv", b"", "no column key"),
        ("p.csv", b"key,name\na,cat\n", "no column label"),
        ("p.csv", b"key;label\na;cat\n", "separated by semicolons: save it with commas"),
        ("p.csv", b"key;label;camera\na;cat;1,5\n", "separated by semicolons"),
        ("p.csv", b"key\tlabel\na\tcat\n", "separated by tabs"),
        ("p.csv", b"key;name\na;cat\n", r"captured_at$"),
        ("p.csv", b"key,label\n,cat\n", "line 2 of p.csv has no usable key"),
        ("p.csv", b"key,label\n\xff,cat\n", "not UTF-8 at byte 10"),
        ("p.csv", b'key,label\n"a,cat\n', "is not valid CSV"),
        ("p.csv", b"key,label\n" + b"x" * 200_000 + b",cat\n", "is not valid CSV"),
        ("p.jsonl", b'{"key": "a", "label": "cat"}\n{"key"\n', "line 2 of p.jsonl is not valid JSON"),
        ("p.jsonl", b"[1]\n", "is not a JSON object"),
        ("p.jsonl", b"[" * 100_000, "is not valid JSON"),
        ("p.jsonl", b'{"label": "cat"}\n', "no usable key: None"),
        ("p.jsonl", b'{"key": "\\ud800", "label": "cat"}\n', "no usable key"),
    ],
)
def test_what_is_no_table_is_refused_with_the_line(name: str, data: bytes, said: str):
    with pytest.raises(DatasetRefused, match=said):
        read_index(name, data)


@pytest.mark.parametrize("value", [3, ["cat"], {"a": 1}, True, "\ud800"])
def test_a_label_that_is_no_text_costs_its_photo(value: object):
    found = read_index("p.jsonl", json.dumps({"key": "a", "label": value}).encode() + b"\n")
    assert set(found.refused) == {"a"}


@given(st.binary(max_size=200), st.sampled_from(["p.csv", "p.jsonl"]))
def test_any_bytes_are_read_or_refused(data: bytes, name: str):
    with contextlib.suppress(DatasetRefused):
        read_index(name, data)


def test_columns_to_tell_figures_by_are_kept_by_name_or_all() -> None:
    table = b"key,label,camera,breed,age\na,cat,gate,Bengal,3\nb,dog,,pug,\n"
    told = {key: row.groups for key, row in read_index("p.csv", table, ["breed"]).rows.items()}
    assert told == {"a": (("breed", "Bengal"),), "b": (("breed", "pug"),)}
    everything = {key: row.groups for key, row in read_index("p.csv", table, None).rows.items()}
    assert everything == {"a": (("age", "3"), ("breed", "Bengal")), "b": (("breed", "pug"),)}
    assert not any(row.groups for row in read_index("p.csv", table).rows.values())
    with pytest.raises(DatasetRefused, match="no values in a column 'bred'"):
        read_index("p.csv", table, ["bred"])
