"""Pages in Chromium: axe, narrow phones, the keyboard, words of the API page."""

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from serving.pages import LANGUAGES, PAGES
from tests.serving.pages.browser.conftest import give, opened
from tests.serving.park import photo


def test_axe_finds_nothing_on_any_page_in_light_and_dark(page):
    for path in PAGES:
        page.emulate_media(color_scheme="light")
        page.goto(path)
        filled(page, path)
        assert violations(page) == [], path
        page.emulate_media(color_scheme="dark")  # which changes colours alone
        assert violations(page, only=["color-contrast"]) == [], path
        if path == "/models":
            page.get_by_role("button", name="Roll back …").click()
            assert violations(page, within="#dialog") == []


def test_on_a_phone_each_version_is_a_block_whose_values_have_their_names(browser, endpoint):
    with opened(browser, endpoint, viewport={"width": 390, "height": 844}, has_touch=True) as context:
        page = context.new_page()
        page.goto("/models")
        filled(page, "/models")
        assert page.evaluate(SCROLLS_SIDEWAYS) == []
        row = page.get_by_role("table").last.get_by_role("row").nth(1)
        cells = row.get_by_role("cell")
        assert [cells.nth(column).get_attribute("data-head") for column in range(5)] == page.get_by_role(
            "table"
        ).last.locator("th").all_inner_texts()
        tops = [cells.nth(column).evaluate("cell => cell.getBoundingClientRect().top") for column in range(5)]
        assert tops == sorted(set(tops)), "one below the other"
        assert violations(page) == []


SCROLLS_SIDEWAYS = """[...document.querySelectorAll(".scroll")]
    .filter((part) => part.scrollWidth > part.clientWidth).map((part) => part.getAttribute("aria-label"))"""


def violations(page: Page, *, within: str | None = None, only: list[str] | None = None) -> list[tuple[str, list[str]]]:
    options = {"resultTypes": ["violations"], **({"runOnly": only} if only else {})}
    found = Axe().run(page, context=within, options=options).response["violations"]
    return [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in found]


def test_nothing_sticks_out_of_a_narrow_phone_in_any_language(browser, endpoint):
    with opened(browser, endpoint, viewport={"width": 360, "height": 780}, has_touch=True) as context:
        page = context.new_page()
        for path in PAGES:
            page.goto(path)
            filled(page, path)
            for language in LANGUAGES:
                page.locator("#language").select_option(language)
                expect(page.locator("html")).to_have_attribute("lang", language)
                assert page.evaluate("document.documentElement.scrollWidth") == 360, (path, language)
                if path == "/models":
                    assert page.evaluate(SCROLLS_SIDEWAYS) == [], language
        page.goto("/")
        expect(page.locator("label[for=camera]")).to_be_visible()


def filled(page: Page, path: str) -> None:
    """Wait for what the page shows of the endpoint."""
    if path == "/":
        give(page, photo("red"))
    awaited = {"/": ".scores li", "/live": ".camera-tile img", "/models": "tbody tr", "/docs": ".operation"}
    expect(page.locator(awaited[path]).first).to_be_visible()


def test_names_in_the_words_of_the_api_page_stand_out_instead_of_between_backticks(page):
    page.goto("/docs")
    filled(page, "/docs")
    page.locator("summary").first.click()
    expect(page.locator("td code", has_text="decision").last).to_be_attached()
    assert "`" not in page.locator("main").inner_text()


def test_the_keyboard_reaches_the_content_first_and_sees_where_it_is(page):
    page.goto("/models")
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to the content")
    expect(skip).to_be_focused()
    assert skip.evaluate("link => link.getBoundingClientRect().top") >= 0
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Refresh")).to_be_focused()
    expect(page.get_by_role("navigation", name="Pages").locator("[aria-current]")).to_have_text("Models")
