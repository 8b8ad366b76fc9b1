"""Caps below the price of a job are reported before a deployment, and only those."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.configuration.pipeline_settings import PipelineSettings
from infra.configuration.settings_reader import SettingsInvalid
from infra.pipeline import job_machine
from infra.pipeline.budgets import require_affordable, unaffordable
from infra.pipeline.job.facts import END_SECONDS, JobFacts, LaunchTemplate
from tests.infra.pipeline.asl_interpreter import run
from tests.infra.pipeline.job_cloud import INPUT, JOB, Cloud

USD = {"training": {"g5.xlarge": 1.2, "g6.xlarge": 1.0}, "small": {"m7i.large": 0.1}}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"job_usd": 1, "train_minutes": 240},
            "job_usd is 1, and a training of train_minutes on g5.xlarge may cost 5.40 USD",
        ),
        (
            {"job_usd": 1, "train_minutes": 2, "small_minutes": 1440},
            "job_usd is 1, and a check, move or test of small_",
        ),
        (
            {"job_usd": 1, "train_minutes": 2, "canary_percent": 5, "canary_hours": 48},
            "job_usd is 1, and a canary of canary_hours on m7i.large may cost 4.95",
        ),
        ({"search": ("a=1",) * 10, "execution_usd": 50}, "execution_usd is 50, and 10 trials of train_minutes on g5"),
    ],
)
def test_a_cap_below_the_price_of_a_job_is_refused_with_the_price(changes: dict[str, Any], told: str):
    with pytest.raises(SettingsInvalid) as refused:
        require_affordable(PipelineSettings(**changes), USD)
    assert told in str(refused.value)
    assert "Raise" in str(refused.value)


def test_the_defaults_are_affordable():
    assert unaffordable(PipelineSettings(canary_percent=5), USD) == []


def test_a_cap_of_exactly_the_price_is_enough_for_a_job_and_for_a_search():
    seconds = PipelineSettings().boot_seconds + 600 + END_SECONDS
    prices = {"training": {"cheap": 1.0, "dear": 3600.0}, "small": {"m7i.large": 0.1}}  # a dollar a second

    def refused(*, job_usd: int = seconds, execution_usd: int = 2 * seconds) -> list[str]:
        settings = PipelineSettings(
            train_minutes=10, search=("a=1", "a=2"), job_usd=job_usd, execution_usd=execution_usd
        )
        return unaffordable(settings, prices)

    assert refused() == []
    (job,) = refused(job_usd=seconds - 1)
    (search,) = refused(execution_usd=2 * seconds - 1)
    assert ("a training" in job, "2 trials" in search) == (True, True)


def test_without_a_stack_for_prod_there_is_no_canary_to_pay_for():
    changes: dict[str, Any] = {"job_usd": 1, "train_minutes": 2, "canary_percent": 5, "canary_hours": 48}
    assert len(unaffordable(PipelineSettings(**changes), USD)) == 1
    assert unaffordable(PipelineSettings(**changes, prod_stack=None), USD) == []


@given(st.integers(1, 12), st.integers(2, 600))
def test_what_is_refused_is_what_the_state_machine_would_not_launch(job_usd: int, minutes: int):
    settings = PipelineSettings(job_usd=job_usd, train_minutes=minutes)
    kinds = {name: LaunchTemplate(template="lt", usd_per_hour=usd, spot=False) for name, usd in USD.items()}
    facts = JobFacts(workspace="w", subnets=["s"], machines=kinds, tags={}, settings=settings)
    cloud = Cloud(None)
    run(job_machine.definition(facts), INPUT | {"max_seconds": 60 * minutes}, cloud, name=JOB, machine="job")
    assert bool(cloud.launches) == (not [each for each in unaffordable(settings, USD) if "training" in each])
