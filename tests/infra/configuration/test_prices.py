"""The table of prices: what it says is dated, sourced, whole and about types that petpark can use."""

from datetime import date, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from infra.configuration import prices
from infra.instances.instance_types import instance_type

TABLE = prices.load()


def test_the_table_covers_the_regions_that_are_promised_and_prices_everything_there():
    assert {"us-east-1", "eu-west-1"} <= TABLE.regions.keys()
    for region in TABLE.regions.values():
        assert region.services.usd.keys() == prices.SERVICES.keys()
        assert region.instances.usd.keys() <= TABLE.types.keys()
        assert region.instances.source
        assert region.services.source


def test_every_type_is_one_that_petpark_can_use_and_has_a_price_somewhere():
    for name, facts in TABLE.types.items():
        known = instance_type(name)
        assert (facts.architecture, facts.gpu) == (known.architecture, known.gpu)
        assert (facts.gpus > 0) == (facts.gpu_memory_gb > 0) == (facts.gpu is not None)
        assert any(name in region.instances.usd for region in TABLE.regions.values())


def test_the_file_is_as_refresh_would_write_it():
    assert prices.render(TABLE) == prices.FILE.read_text()


def test_what_is_written_is_read_again():
    assert prices.parse(prices.render(TABLE)) == TABLE


REGION = TABLE.region("eu-west-1")


@given(st.integers(-400, 2000))
@example(180)
@example(181)
def test_a_warning_is_added_beyond_180_days_and_only_then(days):
    said = prices.age_notes(REGION, REGION.oldest + timedelta(days=days))
    assert f"{max(0, days)} days old" in said[0]
    assert len(said) == (2 if days > 180 else 1)
    assert all("petpark prices refresh --region eu-west-1" in more for more in said[1:])


def test_the_age_is_that_of_the_older_part():
    assert REGION.instances.date < REGION.services.date
    assert REGION.age_days(date(2026, 11, 30)) == (date(2026, 11, 30) - REGION.instances.date).days


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"about": 1}', prices.FILE.read_text().replace('"vcpus": 2', '"vcups": 2', 1)]
    + [
        prices.FILE.read_text().replace('"gp3_gb_month": 0.08,', f'"gp3_gb_month": {wrong},')
        for wrong in (0, -1, '"a"')
    ]
    + [prices.FILE.read_text().replace('"date": "2026', '"date": "20261', 1)],
)
def test_what_is_no_table_is_refused(text):
    with pytest.raises(prices.TableUnusable, match=r"prices\.json is no table of prices"):
        prices.parse(text)


def test_a_table_that_is_not_there_is_named(tmp_path):
    with pytest.raises(prices.TableUnusable, match="cannot be read"):
        prices.load(tmp_path / "prices.json")
