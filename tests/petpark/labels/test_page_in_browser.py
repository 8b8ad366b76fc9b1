"""The page as people meet it: real servers, a real Chromium, the keyboard, touch, two people, axe."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from petpark.labels.server import LabelServer
from serving.pages import LANGUAGES
from tests.browser import chromium
from tests.petpark.conftest import Place
from tests.petpark.labels.recorded_photos import Ticking, labelling, lake_of

expect.set_options(timeout=30_000)  # patience for busy machines


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


class Visit:
    """People with a page each; what a console complains about fails the test: CSP says it there."""

    def __init__(self, browser: Browser, place: Place, sample: Any, stack: ExitStack) -> None:
        self.browser, self.place, self.sample, self.stack = browser, place, sample, stack
        self.complaints: list[str] = []
        self.clock = Ticking()  # of everybody

    def serve(self, person: str) -> LabelServer:
        server = self.stack.enter_context(LabelServer(labelling(self.place, self.sample, person, clock=self.clock)))
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        self.stack.callback(server.shutdown)
        return server

    def open(self, server: LabelServer, *, unreachable: str = "", **options: Any) -> Page:
        """Open the page; requests for `unreachable`, a pattern of URLs, fail."""
        settings: dict[str, Any] = {"locale": "en-GB", **options}
        context = self.browser.new_context(**settings)
        self.stack.callback(context.close)
        if unreachable:  # before the page opens: Chromium may not intercept the first requests after a later route()
            context.route(unreachable, lambda route: route.abort())
        context.on("weberror", lambda error: self.complaints.append(str(error.error)))
        context.on("console", lambda said: self.complaints.append(said.text) if said.type == "error" else None)
        page = context.new_page()
        page.goto(server.url)
        return page


@contextmanager
def visiting(browser: Browser, place: Place, sample: Any) -> Generator[Visit]:
    with ExitStack() as stack:
        visit = Visit(browser, place, sample, stack)
        yield visit
    assert [each for each in visit.complaints if "status of 4" not in each] == []


@pytest.fixture
def visit(browser: Browser, place: Place, sample: Any) -> Iterator[Visit]:
    with visiting(browser, place, sample) as visit:
        yield visit


def shown(page: Page, number: int, of: int) -> None:
    expect(page.locator("#photo-title")).to_have_text(f"Photo {number} of {of}")
    expect(page.locator("#photo")).to_be_visible()


def figure(page: Page, term: str) -> Any:
    return page.locator("#figures dt", has_text=term).locator("+ dd")


def violations(page: Page, **options: Any) -> list[tuple[str, list[str]]]:
    found = Axe().run(page, options={"resultTypes": ["violations"], **options}).response["violations"]
    return [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in found]


def test_a_sample_is_labelled_by_the_keyboard_alone_and_the_last_label_undone(visit, sample):
    server = visit.serve("ana")
    page, count = visit.open(server), len(sample.photos)
    shown(page, 1, count)
    assert page.locator("#photo").evaluate("photo => photo.decode().then(() => photo.naturalWidth)") == 96
    page.keyboard.press("1")
    shown(page, 2, count)
    expect(page.locator("#said")).to_have_text("Saved: cat")
    page.keyboard.press("n")
    shown(page, 3, count)
    page.keyboard.press("Backspace")
    shown(page, 2, count)
    expect(page.locator("#said")).to_have_text("Label withdrawn")
    page.keyboard.press("0")
    shown(page, 3, count)
    page.keyboard.press("ArrowLeft")
    shown(page, 2, count)
    expect(page.locator("#mine")).to_contain_text("Your label: Cannot tell.")
    page.keyboard.press("2")
    expect(page.get_by_role("button", name="dog")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("ArrowRight")
    for number in range(3, count + 1):
        shown(page, number, count)
        page.keyboard.press("1")
    expect(page.get_by_role("heading", name="You have no more photos to label")).to_be_visible()
    expect(figure(page, "Labelled by you")).to_have_text(str(count))
    assert [each["label"] for each in server.labelling.state()["mine"]].count("dog") == 1
    page.keyboard.press("u")
    shown(page, count, count)


def test_shortcuts_can_be_turned_off_and_buttons_work_by_tab_and_enter(visit, sample):
    page, count = visit.open(visit.serve("ana")), len(sample.photos)
    shown(page, 1, count)
    page.get_by_label("Keyboard shortcuts").uncheck()
    page.keyboard.press("1")
    page.get_by_role("button", name="dog").focus()
    page.keyboard.press("Enter")
    shown(page, 2, count)
    expect(page.get_by_role("button", name="dog")).to_be_focused()
    expect(figure(page, "Labelled by you")).to_have_text("1")
    page.reload()
    expect(page.get_by_label("Keyboard shortcuts")).not_to_be_checked()
    expect(figure(page, "Labelled by you")).to_have_text("1")


def test_two_people_label_and_see_how_far_they_agree_and_a_third_decides(visit, sample):
    photo = next(number for number, each in enumerate(sample.photos, start=1) if each.twice)
    servers = {name: visit.serve(name) for name in ("ana", "vera", "eva")}
    pages = {name: visit.open(server) for name, server in servers.items()}

    def label(name: str, key: str) -> None:
        """Go to the photo that is for two, and press the key."""
        page = pages[name]
        page.reload()
        servers[name].labelling.refresh()
        line = servers[name].labelling.state()["queue"]
        shown(page, 1, len(line))
        for _ in range(line.index(photo)):
            page.keyboard.press("ArrowRight")
        shown(page, line.index(photo) + 1, len(line))
        page.keyboard.press(key)
        expect(figure(page, "Labelled by you")).to_have_text("1")

    label("ana", "1")
    expect(pages["ana"].locator("#agreement")).to_contain_text("Unknown until two people")
    label("vera", "2")
    expect(pages["vera"].locator("#agreement")).to_contain_text("Photos with two labels: 1. Same label: 0%.")
    expect(pages["vera"].locator("#disputed li")).to_contain_text("you: dog")
    expect(pages["vera"].locator("#disputed li")).not_to_contain_text("ana")
    expect(pages["vera"].locator("#disputed img")).to_be_visible()
    label("eva", "1")
    pages["vera"].reload()
    expect(pages["vera"].locator("#disputed li")).to_contain_text("ana: cat · you: dog · eva: cat")


def test_what_another_tab_did_is_shown_and_nothing_is_lost(visit, sample):
    server, count = visit.serve("ana"), len(sample.photos)
    one, other = visit.open(server), visit.open(server)
    for page in (one, other):
        shown(page, 1, count)
    one.keyboard.press("1")
    shown(one, 2, count)
    other.keyboard.press("2")
    expect(other.get_by_role("alert")).to_contain_text("in another tab in the meantime")
    assert [each["label"] for each in server.labelling.state()["mine"]] == ["cat"]
    expect(figure(other, "Labelled by you")).to_have_text("1")


def test_without_the_token_or_the_command_the_page_says_so(visit, sample):
    server = visit.serve("ana")
    page = visit.open(server, unreachable="**/v1/labels")
    shown(page, 1, len(sample.photos))
    assert "#" not in page.url
    page.keyboard.press("1")
    expect(page.get_by_role("alert")).to_contain_text("Is `petpark labels page` still running?")
    visit.complaints.clear()
    page.evaluate("sessionStorage.clear()")
    page.reload()
    expect(page.get_by_role("alert")).to_contain_text("Open the address that `petpark labels page` printed")
    expect(page.locator("#work")).to_be_hidden()


def test_an_expired_photo_is_reported_and_can_be_skipped(visit, place, sample):
    server = visit.serve("ana")
    first, second = server.labelling.state()["queue"][:2]
    lake_of(place).delete(sample.photos[first - 1].key)
    page = visit.open(server)
    expect(page.locator("#no-photo")).to_contain_text("This photo has expired")
    expect(page.get_by_role("button", name="cat")).to_be_disabled()
    assert sample.photos[first - 1].key != sample.photos[second - 1].key
    page.keyboard.press("ArrowRight")
    shown(page, 2, len(sample.photos))


def test_axe_finds_nothing_and_nothing_sticks_out_in_any_language_on_a_screen_and_a_phone(visit, sample):
    server = visit.serve("ana")
    for width in (1280, 390):
        page = visit.open(server, viewport={"width": width, "height": 844}, has_touch=width == 390)
        for language in LANGUAGES:
            page.locator("#language").select_option(language)
            expect(page.locator("html")).to_have_attribute("lang", language)
            expect(page.locator("#photo")).to_be_visible()
            assert page.evaluate("document.documentElement.scrollWidth") == width, language
        assert violations(page) == []
        page.emulate_media(color_scheme="dark")
        assert violations(page, runOnly=["color-contrast"]) == []
        if width == 390:
            page.get_by_role("button", name="cat").tap()
            expect(page.locator("#figures")).to_contain_text("1")
            # Every answer can be reached without scrolling.
            bottom = page.locator("#answers").evaluate("node => node.getBoundingClientRect().bottom")
            assert bottom < 844
    for number in range(2, len(sample.photos) + 1):
        expect(page.locator("#photo")).to_be_visible()
        page.keyboard.press("1")
        expect(page.locator("#figures dd").nth(3)).to_have_text(str(number))
    expect(page.locator("#done")).to_be_visible()
    assert violations(page) == []
