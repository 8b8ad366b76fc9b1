"""One price list file: rows of the documented format in bounded memory, and nothing else."""

from __future__ import annotations

import itertools
import tracemalloc
from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from petpark.prices.errors import PriceListRefused
from petpark.prices.price_list import open_list, price
from tests.petpark.prices.lists import HEADER, instance, listed

ROW = instance("c7i.large", "0.0957600000")


def read(content: bytes, folder: Path) -> list[dict[str, str]]:
    file = folder / "index.csv"
    file.write_bytes(content)
    with open_list(file, offer="AmazonEC2", columns=("Instance Type",)) as found:
        return [dict(row) for row in found.rows]


def ec2(rows: Iterable[Mapping[str, str]] = (ROW,), **other: str) -> bytes:
    return listed("AmazonEC2", rows, **other)


def test_metadata_and_prices_are_read(tmp_path: Path) -> None:
    file = tmp_path / "index.csv"
    file.write_bytes(ec2([ROW, {**ROW, "TermType": "Reserved"}]))
    with open_list(file, offer="AmazonEC2", columns=("Instance Type",)) as found:
        assert (found.offer, found.version, found.published) == ("AmazonEC2", "20261120170528", date(2026, 11, 20))
        (row,) = found.rows
    assert row["Instance Type"] == "c7i.large"
    assert price(row, offer="AmazonEC2") == Decimal("0.09576")


def test_a_field_may_hold_quotes_and_commas(tmp_path: Path) -> None:
    (row,) = read(ec2([{**ROW, "operation": 'RunInstances:"a", b'}]), tmp_path)
    assert row["operation"] == 'RunInstances:"a", b'


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "begins with nothing"),
        (b"<html><body>Not found</body></html>\n", "begins with <html>"),
        (b'{"formatVersion": "v1.0"}\n', "begins with"),
        (ec2(version="v2.0"), "format v2.0"),
        (listed("AmazonRDS", [ROW]), "service AmazonRDS"),
        (ec2(published="yesterday"), "publication date 'yesterday'"),
        (
            listed("AmazonEC2", [ROW], header=[name for name in HEADER if name != "PricePerUnit"]),
            "no column PricePerUnit",
        ),
        (listed("AmazonEC2", [ROW], header=[name for name in HEADER if name != "Instance Type"]), "no column Instance"),
        (ec2([]), "no prices"),
        (ec2()[: ec2().rindex(b",")], "a row of"),
        (ec2() + b'"a","b"\n', "a row of 2 fields"),
        (ec2() + b'"a"b,', "no CSV file"),
        (ec2() + b"x" * 100_000, "a line of more than 65536 characters"),
    ],
)
def test_what_is_not_in_the_documented_format_is_refused(content: bytes, said: str, tmp_path: Path) -> None:
    with pytest.raises(PriceListRefused, match=said.replace("(", r"\(")):
        read(content, tmp_path)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"Currency": "CNY"}, "in CNY, not in USD"),
        ({"PricePerUnit": ""}, "''"),
        ({"PricePerUnit": "-1"}, "'-1'"),
        ({"PricePerUnit": "NaN"}, "'NaN'"),
        ({"PricePerUnit": "Infinity"}, "'Infinity'"),
        ({"PricePerUnit": "1,5"}, "'1,5'"),
        ({"PricePerUnit": "1e999"}, "'1e999'"),
        ({"PricePerUnit": "1e-999"}, "'1e-999'"),
    ],
)
def test_a_price_in_another_currency_or_that_is_no_number_is_refused(changes: dict[str, str], said: str) -> None:
    with pytest.raises(PriceListRefused, match=said):
        price({**ROW, **changes}, offer="AmazonEC2")


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    file = tmp_path / "index.csv"
    rows = ec2().splitlines(keepends=True)
    with file.open("wb") as out:
        out.writelines([*rows[:6], *itertools.repeat(rows[6], 30_000)])
    assert file.stat().st_size > 5_000_000
    tracemalloc.start()
    try:
        with open_list(file, offer="AmazonEC2", columns=("Instance Type",)) as found:
            count = sum(1 for _ in found.rows)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == 30_000
    assert peak < 1_000_000
