"""The languages of reports: the same texts in each, with the same placeholders, and all that are looked up."""

import json
import re
from importlib import resources
from string import Formatter

import pytest

from petpark.reports.facts import ChangeKind, Why
from petpark.reports.monitoring_facts import TESTS
from petpark.reports.month import Month
from petpark.reports.pages.texts import LANGUAGES, LanguageUnknown, load
from registry.channels.experiment import Outcome
from serving.pages import LANGUAGES as PAGES
from tests.petpark.reports.park import MADRID

HERE = resources.files("petpark.reports.pages")


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


def used() -> set[str]:
    """Names of texts that templates and code name in full."""
    files = [each.read_text() for each in HERE.iterdir() if each.name.endswith((".py", ".j2"))]
    return {name for text in files for name in re.findall(r"""\bt\(\s*["']([\w.-]+)["']""", text)}


def test_the_languages_are_those_of_the_endpoints_pages():
    assert LANGUAGES == PAGES


def test_all_languages_have_the_same_texts_with_the_same_placeholders():
    first = load(LANGUAGES[0]).named
    for language in LANGUAGES[1:]:
        other = load(language).named
        assert list(other) == list(first)
        assert {name: placeholders(text) for name, text in other.items()} == {
            name: placeholders(text) for name, text in first.items()
        }


def test_no_text_is_left_in_english():
    """A few words are the same in two languages."""
    english = load("en").named
    for language in ("es", "ca"):
        same = {name for name, text in load(language).named.items() if text == english[name] and len(text) > 12}
        assert same <= {"page.written"}


def test_every_text_that_is_looked_up_is_there_and_none_is_left_over():
    plural = {"month.requests", "month.labels", "month.windows", "month.unreadable", "month.drift-some"}
    named = used() - plural
    named |= {f"unknown.{why}" for why in Why} | {f"test.{test}" for test in TESTS}
    named |= {f"change.{kind}" for kind in ChangeKind} | {f"outcome.{each}" for each in Outcome.__value__.__args__}
    named |= {f"{name}.{form}" for name in plural for form in ("one", "other")}
    named |= {f"month.{name}{end}" for name in ("labelled", "estimated") for end in ("", "-unknown")}
    named |= {"format.thousands", "format.decimal", "months.short", "months.long", "change.first"}
    named |= {"monitoring.drifted", "monitoring.silent", "monitoring.steady", "monitoring.untested"}
    assert named == set(load("en").named)


def test_the_files_name_nothing_twice():
    for language in LANGUAGES:
        text = HERE.joinpath("texts", f"{language}.json").read_text("utf-8")
        pairs: list[tuple[str, str]] = json.loads(text, object_pairs_hook=list)
        assert len(dict(pairs)) == len(pairs)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_month_and_day_has_a_name(language):
    t = load(language)
    months = [Month(year=2028, number=number, zone=MADRID) for number in range(1, 13)]
    assert len({t.month(month) for month in months}) == 12
    assert len({t.day(day) for month in months for day in month.days}) == 366


def test_numbers_are_written_as_the_language_writes_them():
    assert load("en").number(1234567.891, 2) == "1,234,567.89"
    assert load("es").number(1234567.891, 2) == load("ca").number(1234567.891, 2) == "1.234.567,89"


@pytest.mark.parametrize(("share", "said"), [(1.0, "100.0"), (0.99999, "99.9"), (0.00001, "0.1"), (0.0, "0.0")])
def test_what_is_not_all_is_never_rounded_to_all_nor_a_part_to_nothing(share, said):
    assert load("en").percent(share) == f"{said}\N{NO-BREAK SPACE}%"


def test_another_language_is_refused():
    with pytest.raises(LanguageUnknown, match="expected one of en, es, ca"):
        load("de")
