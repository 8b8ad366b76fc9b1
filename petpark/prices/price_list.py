"""Rows of one price list file, a line at a time.

AWS publishes a file for each service and region, without credentials. In the CSV file the first five rows are metadata
and the sixth names the columns, whose number differs between services:
https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/reading-service-price-list-file-for-services.html
"""

from __future__ import annotations

import csv
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TextIO

from petpark.prices.errors import PriceListRefused

_METADATA = ("FormatVersion", "Disclaimer", "Publication Date", "Version", "OfferCode")
_VERSION = "v1.0"
_CURRENCY = "USD"
_SMALLEST, _GREATEST = Decimal("1e-12"), Decimal("1e15")
"""Prices and quantities have at most ten decimal places, and a float must hold them."""
_LONGEST = 64 * 1024
"""Characters of a line, some forty times the longest of EC2's: a file without line breaks must not fill the memory."""

COLUMNS = ("TermType", "StartingRange", "Unit", "PricePerUnit", "Currency", "usageType", "operation")
"""What every service's file has of what is read here."""

_NEXT = "If AWS has changed the format, petpark must learn it: nothing was changed here."


@dataclass(frozen=True, kw_only=True)
class PriceList:
    """One file that is open: whose prices it has, since when, and its rows on demand in US dollars.

    Rows can be read once, while it is open; they hold the requested columns and `COLUMNS` by name.
    """

    offer: str
    version: str
    published: date
    rows: Iterator[Mapping[str, str]]


@contextmanager
def open_list(path: Path, *, offer: str, columns: Sequence[str] = ()) -> Generator[PriceList]:
    """Open the CSV file of service `offer`, which has `columns` too. Raises `PriceListRefused`, also from `rows`."""
    name = f"The price list of {offer}"
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        reader = csv.reader(_lines(file, name), strict=True)
        with _as_refusal(name):
            stated = [next(reader, []) for _ in _METADATA]
            header = next(reader, [])
        keys = [row[0] if row else "" for row in stated]
        if keys != list(_METADATA) or any(len(row) != 2 for row in stated):
            found = ", ".join(key for key in keys if key) or "nothing"
            raise _refused(name, f"begins with {found[:200]}, not with {', '.join(_METADATA)}")
        version, published, dated, code = (stated[number][1] for number in (0, 2, 3, 4))
        if (version, code) != (_VERSION, offer):
            raise _refused(name, f"is of format {version} and service {code}, not {_VERSION} and {offer}")
        wanted = (*COLUMNS, *columns)
        if missing := [column for column in wanted if column not in header]:
            raise _refused(name, f"has no column {', '.join(missing)}")
        yield PriceList(
            offer=offer,
            version=dated,
            published=_day(published, name),
            rows=_rows(reader, header, wanted, name),
        )


def price(row: Mapping[str, str], *, offer: str) -> Decimal:
    """A row's price per unit; one in another currency is refused. Raises `PriceListRefused`."""
    name = f"The price list of {offer}"
    if row["Currency"] != _CURRENCY:
        raise _refused(name, f"states prices in {row['Currency']}, not in {_CURRENCY}")
    return _number(row["PricePerUnit"], name)


def starts_at(row: Mapping[str, str], *, offer: str) -> Decimal:
    """From which quantity a row's price counts: prices may fall with the quantity. Raises `PriceListRefused`."""
    return _number(row["StartingRange"] or "0", f"The price list of {offer}")


def _rows(
    reader: Iterator[list[str]], header: Sequence[str], wanted: Sequence[str], name: str
) -> Iterator[Mapping[str, str]]:
    places = {column: header.index(column) for column in wanted}
    any_row = False
    with _as_refusal(name):
        for row in reader:
            if len(row) != len(header):
                raise _refused(name, f"has a row of {len(row)} fields below a header of {len(header)}")
            any_row = True
            if row[places["TermType"]] == "OnDemand":
                yield {column: row[place] for column, place in places.items()}
    if not any_row:
        raise _refused(name, "has no prices")


def _lines(file: TextIO, name: str) -> Iterator[str]:
    """Lines of a text file, each of bounded length."""
    while line := file.readline(_LONGEST):
        if len(line) == _LONGEST and not line.endswith("\n"):
            raise _refused(name, f"has a line of more than {_LONGEST} characters")
        yield line


@contextmanager
def _as_refusal(name: str) -> Generator[None]:
    try:
        yield
    except csv.Error as error:
        raise _refused(name, f"is no CSV file ({error})") from None


def _day(stated: str, name: str) -> date:
    try:
        return datetime.fromisoformat(stated).date()
    except ValueError:
        raise _refused(name, f"has the publication date {stated!r}") from None


def _number(stated: str, name: str) -> Decimal:
    try:
        number = Decimal(stated)
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or number < 0 or (number and not _SMALLEST <= number <= _GREATEST):
        raise _refused(name, f"states {stated!r} where a number is expected")
    return number


def _refused(name: str, why: str) -> PriceListRefused:
    return PriceListRefused(f"{name} {why}.", next_step=_NEXT)
