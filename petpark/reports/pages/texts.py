"""Texts, numbers and dates in the languages of the endpoint's pages."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from importlib import resources
from typing import Final
from zoneinfo import ZoneInfo

from petpark.reports.month import Month

LANGUAGES: Final = ("en", "es", "ca")
"""As of `serving.pages`; the first is the default."""

_TINY: Final = 0.0005


class LanguageUnknown(ValueError):
    """There are no texts in this language."""


@dataclass(frozen=True, kw_only=True)
class Texts:
    """All texts of one language, by name. A missing name is a KeyError: tests compare all files."""

    language: str
    named: Mapping[str, str]

    def __call__(self, name: str, /, **values: object) -> str:
        """Return a text with its placeholders filled."""
        return self.named[name].format(**values)

    def plural(self, name: str, count: int) -> str:
        """Return `name.one` for 1, else `name.other`, with the number as `{n}`."""
        return self(f"{name}.{'one' if count == 1 else 'other'}", n=self.number(count))

    def number(self, value: float, decimals: int = 0) -> str:
        """Format a number with this language's separators."""
        text = f"{value:,.{decimals}f}"
        return text.translate(str.maketrans({",": self.named["format.thousands"], ".": self.named["format.decimal"]}))

    def percent(self, share: float, decimals: int = 1) -> str:
        """Format a share as a percentage; never rounded up to 100 % or down to 0 %."""
        step = 10.0 ** -(decimals + 2)
        if 0 < share < 1:
            share = min(max(share, step), 1 - step)
        return f"{self.number(100 * share, decimals)}\N{NO-BREAK SPACE}%"

    def usd(self, value: float) -> str:
        """Format whole dollars."""
        return f"{self.number(value)}\N{NO-BREAK SPACE}USD"

    def day(self, day: date) -> str:
        """Format a day without its year, such as 3 Nov."""
        return f"{day.day}\N{NO-BREAK SPACE}{self.named['months.short'].split()[day.month - 1]}"

    def moment(self, moment: datetime, zone: ZoneInfo) -> str:
        """Format a moment in the park's time zone, without its year."""
        local = moment.astimezone(zone)
        return f"{self.day(local.date())}\N{NO-BREAK SPACE}{local:%H:%M}"

    def full(self, moment: datetime, zone: ZoneInfo) -> str:
        """Format a moment in the park's time zone, with year and zone."""
        local = moment.astimezone(zone)
        return f"{self.day(local.date())}\N{NO-BREAK SPACE}{local:%Y, %H:%M} ({zone.key})"

    def month(self, month: Month) -> str:
        """Format a month's name and year."""
        return f"{self.named['months.long'].split()[month.number - 1]} {month.year}"

    def p_value(self, value: float) -> str:
        """Format a p-value."""
        return f"<\N{NO-BREAK SPACE}{self.number(0.001, 3)}" if value < _TINY else self.number(value, 3)


@cache
def load(language: str) -> Texts:
    """Return the texts of a language. Raises LanguageUnknown."""
    if language not in LANGUAGES:
        raise LanguageUnknown(f"there are no texts in {language!r}; expected one of {', '.join(LANGUAGES)}")
    text = resources.files("petpark.reports.pages").joinpath("texts", f"{language}.json").read_text("utf-8")
    return Texts(language=language, named=json.loads(text))
