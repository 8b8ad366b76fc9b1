"""The page speaks three languages, and nothing that it says stands anywhere but in its texts."""

import json
import re
from importlib import resources

import pytest

from monitoring.late_labels.records import Answer
from serving.pages import ATTRIBUTE, LANGUAGES, TEXT

FOLDER = resources.files("petpark.labels.page")
TEXTS = {
    language: json.loads(FOLDER.joinpath("texts", f"{language}.json").read_text("utf-8")) for language in LANGUAGES
}
SERVER = resources.files("petpark.labels").joinpath("server.py").read_text("utf-8")
PROBLEMS = set(re.findall(r'_Refused\(\d+, "([\w-]+)"', SERVER))


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_says_the_same_things_with_the_same_values(language):
    def shape(texts):
        return {name: sorted(re.findall(r"\{(\w+)\}", text)) for name, text in texts.items()}

    assert shape(TEXTS[language]) == shape(TEXTS["en"])
    assert all(text.strip() for text in TEXTS[language].values())


def test_every_text_is_used_and_every_text_used_exists():
    page, script = (FOLDER.joinpath(name).read_text("utf-8") for name in ("label.html", "label.js"))
    used = {found[1] for found in TEXT.findall(page)} | {found[1] for found in ATTRIBUTE.findall(page)}
    used |= set(re.findall(r'"(label\.[\w-]+)"', script))
    used |= {f"label.answer.{answer}" for answer in (Answer.NEITHER, Answer.UNKNOWN)}
    used |= {f"problem.{name}" for name in PROBLEMS - {"not-found", "forbidden"}} | {"app.no-answer"}
    assert used == set(TEXTS["en"])


def test_neither_template_nor_script_says_anything_itself():
    page = re.sub(r"<(option|kbd)\b.*?</\1>", "", FOLDER.joinpath("label.html").read_text("utf-8"))
    assert re.sub(r"<[^>]*>|@\w+@", "", page).split() == ["petpark"]
    script = re.sub(r"/\*.*?\*/", "", FOLDER.joinpath("label.js").read_text("utf-8"))
    assert {text for text in re.findall(r'"([^"\n]*)"', script) if re.search(r"\w \w|^[A-Z][a-z]", text)} == {
        "Content-Type",
        "quiet small",
    }
