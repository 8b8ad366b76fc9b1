"""Both pages as people meet them: a real Chromium, a phone's width, dark mode, axe, and paper."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser

from petpark.reports.pages.monitoring_page import monitoring_page
from petpark.reports.pages.month_page import month_page
from petpark.reports.pages.texts import load
from tests.browser import chromium
from tests.petpark.reports.park import busy_month, empty_month, monitored

PAGES = {
    "full month": lambda: month_page(busy_month(cameras=20, changes=40, alarms=20), load("ca")),
    "empty month": lambda: month_page(empty_month(), load("es")),
    "monitoring": lambda: monitoring_page(monitored(), load("en")),
}
A4_WIDTH = 794 - 98
"""Pixels at 96 dpi, within the margins of the style sheet."""

CUT = """() => [...document.querySelectorAll("main *")].filter((each) => {
  const box = each.getBoundingClientRect();
  return box.width > 0 && (box.left < -1 || box.right > document.documentElement.clientWidth + 1);
}).map((each) => each.outerHTML.slice(0, 120))"""
"""Elements that stand out at the left or the right."""

OVERLAPPING = """() => [...document.querySelectorAll(".ticks")].flatMap((ticks) => {
  const boxes = [...ticks.children].map((each) => each.getBoundingClientRect()).filter((box) => box.width > 0);
  return boxes.slice(1).filter((box, n) => box.left < boxes[n].right).map(() => ticks.textContent);
})"""
"""Axes whose words run into each other."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module", params=PAGES)
def page_file(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pages") / "page.html"
    path.write_text(PAGES[request.param](), encoding="utf-8")
    return path


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_axe_finds_nothing_and_nothing_is_cut(browser, page_file, width, scheme):
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.goto(page_file.as_uri())
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    assert page.evaluate(CUT) == []
    assert page.evaluate(OVERLAPPING) == []
    assert complaints == []
    context.close()


def test_the_report_prints_on_at_most_three_pages_and_nothing_is_cut_or_hidden(browser, page_file):
    """Without background graphics, as browsers print by default: bars must still have their colour."""
    page = browser.new_page(viewport={"width": A4_WIDTH, "height": 1000})
    page.goto(page_file.as_uri())
    shown = page.locator("main").inner_text()
    page.emulate_media(media="print")
    assert page.evaluate(CUT) == []
    assert page.evaluate(OVERLAPPING) == []
    charts = page.locator("svg")
    assert all(charts.nth(n).bounding_box() for n in range(charts.count()))
    assert page.evaluate("() => getComputedStyle(document.querySelector('h1')).printColorAdjust") == "exact"
    hidden = set(shown.split()) - set(page.locator("main").inner_text().split())
    if "monitoring" not in page.title().lower():
        assert hidden == set()
        sheets = page.pdf(prefer_css_page_size=True)
        assert len(re.findall(rb"/Type\s*/Page[^s]", sheets)) <= 3
    page.close()
