"""Pages speak three languages, and nothing that a page says stands anywhere but in its texts."""

import json
import re
from pathlib import Path

import pytest

from serving.pages import ASSETS, ATTRIBUTE, LANGUAGES, PAGES, TEXT, preferred
from serving.problems import KINDS

FOLDER = Path(__file__).parents[3] / "serving" / "pages"
TEMPLATES = ("frame.html", *PAGES.values())
SCRIPTS = tuple(name for name in ASSETS if name.endswith(".js"))
TEXTS = {language: json.loads((FOLDER / "texts" / f"{language}.json").read_text()) for language in LANGUAGES}
_DYNAMIC = {
    "problem.": {kind.name for kind in KINDS},
    "cert.": {"in-force", "expired", "refused", "revoked", "none", "unchecked"},
    "live.state.": {"connecting", "live", "lost", "ended"},
    "experiment.": {"promoted", "rejected", "undecided", "stopped", "answers", "tripped", "refused", "arm"}
    | {"champion", "challenger", "answers-head", "failures", "milliseconds", "confidence"},
    "metric.": {"accuracy", "balanced_accuracy", "calibration_error", "robustness_drop", "consistency"},
    "models.": {"entry", "version", "move", "by", "when", "why", "certificate", "gates", "metrics", "made"},
    "try.": {"none", "working", "no-photo", "arm-champion", "arm-challenger", "head"},
    "docs.": {"member", "type", "meaning", "name", "content-type", "header", "status", "limit", "value"}
    | {"beyond", "head"},
}
"""Names that scripts put together from what the endpoint says."""

_NOT_SAID = {
    *("card alarm", "card camera-tile", "quiet small", "alarm detail", "no-picture quiet", "in force", "nav a"),
    "not measured",
    *("Content-Type", "X-Petpark-Arm", "Bearer ", 'petpark rollback --channel  --why "…"'),
}
"""Classes of style, selectors, header lines, a command, states that the API tells."""


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_says_the_same_things_with_the_same_values(language):
    def shape(texts):
        return {name: sorted(re.findall(r"\{(\w+)\}", text)) for name, text in texts.items()}

    assert shape(TEXTS[language]) == shape(TEXTS["en"])
    assert all(text.strip() for text in TEXTS[language].values())


def test_every_text_is_used_and_every_text_used_exists():
    used = {prefix + name for prefix, names in _DYNAMIC.items() for name in names}
    used |= {f"{page.removesuffix('.html')}.head" for page in PAGES.values()}
    for name in TEMPLATES:
        template = (FOLDER / name).read_text()
        used |= {found[1] for found in TEXT.findall(template)} | {found[1] for found in ATTRIBUTE.findall(template)}
    for name in SCRIPTS:
        script = (FOLDER / name).read_text()
        used |= set(re.findall(r'"((?:app|try|live|models|roll|docs|cert|experiment)\.[\w.-]+)"', script))
    assert used == set(TEXTS["en"])


@pytest.mark.parametrize("name", TEMPLATES)
def test_no_template_says_anything_itself(name):
    own = re.sub(r"<(code|pre|option)\b.*?</\1>", "", (FOLDER / name).read_text(), flags=re.DOTALL)
    message = re.sub(r"<[^>]*>|@\w+@|·", "", own, flags=re.DOTALL).split()
    assert message == (["petpark"] if name == "frame.html" else [])
    assert not re.search(r'(?<!data-)\b(?:aria-label|alt|title|placeholder)="(?!pp_…|")', own)


@pytest.mark.parametrize("name", [name for name in SCRIPTS if name != "docs.js"])
def test_no_script_says_anything_itself(name):
    """What the API's own description says is English, and docs.js shows it; so that one is left out."""
    script = re.sub(r"/\*.*?\*/|//.*", "", (FOLDER / name).read_text())
    literals = {one or re.sub(r"\$\{.*?\}", "", other) for one, other in re.findall(r'"([^"\n]*)"|`([^`]*)`', script)}
    assert {text for text in literals if re.search(r"\w \w|^[A-Z][a-z]", text)} <= _NOT_SAID


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", "en"),
        ("de-DE,de;q=0.9", "en"),
        ("es-MX,es;q=0.9,en;q=0.8", "es"),
        ("ca", "ca"),
        ("en;q=0.3, ca-ES;q=0.7, es;q=0.5", "ca"),
        ("*;q=0.5, junk;;q=x, es;q=0", "en"),
    ],
)
def test_the_language_is_the_one_that_the_browser_wants_most(endpoint, header, expected):
    assert preferred(header) == expected
    page = endpoint.http.get("/live", headers={"accept-language": header})
    assert page.headers["content-language"] == expected
    assert page.headers["vary"] == "accept-language"
    assert f'<html lang="{expected}">' in page.text
    assert TEXTS[expected]["live.title"] in page.text


def test_texts_that_are_none_are_not_found(endpoint):
    for name in ("de.json", "%2e%2e%2fstyle.css"):
        assert endpoint.http.get(f"/pages/texts/{name}").status_code == 404
