"""The report stands alone, escapes what it is given, and says plainly what the figures mean."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from tests.training.conftest import Built
from training.evaluation.assess import Assessment, Exhibit
from training.evaluation.metrics import evaluate
from training.evaluation.report import Report, curves, verdict, write_report
from training.job import EpochRecord

EVIL = "<script>alert('cat')</script>"
EPOCH = EpochRecord(epoch=1, of=1, train_loss=0.5, loss=0.4, accuracy=0.8, learning_rate=0.1, seconds=1)


def assessment(right: int, of: int, labels: tuple[str, str] = ("cat", "dog")) -> Assessment:
    truth = np.arange(of) % 2
    answers = np.where(np.arange(of) < right, truth, 1 - truth)
    exhibit = Exhibit(key=EVIL, truth=labels[0], answer=labels[1], confidence=0.9, picture="data:,", evidence="data:,")
    return Assessment(evaluation=evaluate(truth, answers, labels), errors=(exhibit,), samples=())


def page(tmp_path: Path, what: Assessment, **changes: object) -> str:
    report = Report(
        title="A model",
        assessment=what,
        epochs=[EPOCH],
        counts={f.label: {"train": 1, "validation": 2, "test": 3} for f in what.evaluation.classes},
        hyper_parameters={"epochs": 1},
        lineage={"run": EVIL},
    )
    write_report(replace(report, **changes), tmp_path / "report.html")
    return (tmp_path / "report.html").read_text()


def test_names_of_photos_and_classes_are_escaped(tmp_path: Path):
    html = page(tmp_path, assessment(8, 10, ("<b>", "dog")))
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert "<td><b></td>" not in html


def test_the_report_of_a_job_needs_nothing_else(built: Built):
    html = (built.directory / "report.html").read_text()
    assert not re.findall(r"https?://", html)
    assert set(re.findall(r"src=\"(.{10})", html)) == {"data:image"}
    assert "job job-1" in html
    assert built.spec.dataset in html


class Balance(HTMLParser):
    """Counts what was opened and not closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in {"meta", "img", "line", "path", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_report_is_well_formed(tmp_path: Path):
    balance = Balance()
    balance.feed(page(tmp_path, assessment(8, 10)).replace("/>", ">"))
    assert balance.open == []


def test_no_errors_are_said_in_words(tmp_path: Path):
    assert "Nothing, on these photos." in page(tmp_path, replace(assessment(10, 10), errors=()))


@pytest.mark.parametrize(
    ("right", "of", "said"),
    [(950, 1000, "calls about 5 wrong"), (52, 100, "cannot be told from guessing")],
)
def test_the_verdict_says_what_the_interval_allows(right: int, of: int, said: str):
    assert said in verdict(assessment(right, of))


def test_curves_have_a_point_for_every_epoch():
    drawn = curves([replace(EPOCH, epoch=n, accuracy=n / 4) for n in range(1, 4)])
    assert all(len(curve.path.split(" L")) == 3 for curve in drawn)
    assert curves([EPOCH])[0].path.startswith("M0.0,36.0 L640,36.0")
    assert curves([]) == []
