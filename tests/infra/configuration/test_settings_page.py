import re
import shutil
from pathlib import Path

import pytest
import yaml

from infra.configuration import prices
from infra.configuration.settings_page import page
from tests.infra.conftest import ROOT

PRICES = prices.load()


def test_the_page_is_what_the_settings_and_their_checks_say():
    assert (ROOT / "docs/settings.md").read_text() == page(ROOT, PRICES), "make docs-settings"


def test_every_setting_is_on_the_page_with_what_it_may_be_its_values_and_its_cost():
    keys = {
        "aws:region",
        "aws:defaultTags",
        *(f"petpark:{key}" for key in yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"]),
    }
    sections = page(ROOT, PRICES).split("\n## ")[1:]
    assert {section.partition("\n")[0].strip("`") for section in sections} == keys
    for section in sections:
        assert all(item in section for item in ("\n- default: test `", "\n- costs: ")) or "as `Pulumi." in section
    assert max(map(len, page(ROOT, PRICES).splitlines())) <= 120


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for file in ("Pulumi.yaml", "Pulumi.test.yaml", "Pulumi.prod.yaml"):
        shutil.copy(ROOT / file, tmp_path)
    return tmp_path


def section(text: str, key: str) -> str:
    return text.partition(f"## `petpark:{key}`\n")[2].partition("\n## ")[0]


def change(project: Path, stack: str, line: str, other: str) -> None:
    file = project / f"Pulumi.{stack}.yaml"
    assert line in file.read_text()
    file.write_text(file.read_text().replace(line, other))


def test_a_range_that_depends_on_another_setting_is_that_of_both_stacks(project):
    change(project, "prod", "endpoint_instance_type: c7i.large", "endpoint_instance_type: g5.xlarge")
    said = section(page(project, PRICES), "endpoint_volume_gb")
    assert "a whole number from 8 to 16384; a whole number from 75 to 16384" in said


def test_costs_are_those_of_one_more_of_the_other_choice_and_of_an_hour(project):
    change(project, "test", 'training_instances: "1"', 'training_instances: "64"')
    text = page(project, PRICES)
    assert re.search(r"costs: \+0\.\d\d USD a month for 1 more$", section(text, "endpoint_volume_gb"), re.MULTILINE)
    assert re.search(r"test \+1\.\d\d USD an hour of training for 1 more; prod –", section(text, "training_instances"))
    assert "USD a month with `autoscaled`" in section(text, "endpoint_kind")
    assert re.search(r"costs: c7i.large 0\.\d+ USD an hour$", section(text, "endpoint_instance_type"), re.MULTILINE)
    change(project, "test", "endpoint_instance_type: c7i.large", "endpoint_instance_type: m9.large")
    assert "costs: test m9.large not known; prod c7i.large 0." in section(
        page(project, PRICES), "endpoint_instance_type"
    )
    assert "costs: –" in section(text, "channel")
