"""Jobs that schedules start: what the state machine `job` and the worker take."""

import json
import re

import pytest

from infra.configuration.pipeline_settings import PipelineInvalid, PipelineSettings
from infra.pipeline import report_jobs
from infra.pipeline.report_jobs import monitoring_input, monthly_inputs
from petpark.reports import stored
from petpark.reports.month import parse_zone
from petpark.reports.pages.texts import LANGUAGES
from petpark.worker.order import JOB, Order

ORDERED_BY = "arn:aws:iam::123456789012:role/petpark-job"


def test_a_schedules_input_makes_an_order_that_the_worker_reads():
    given = monitoring_input(PipelineSettings(), stack="prod")
    told = json.loads(json.dumps(given).replace("<aws.scheduler.execution-id>", "d32c5kddcf5bb8c3" * 2))
    assert JOB.fullmatch(told["job"])
    assert re.fullmatch("[a-z0-9-]{1,64}", told["job"])
    names = ("job", "purpose", "max_seconds", "inputs")
    written = {"schema": "petpark.order/1", "requested_by": ORDERED_BY, "pipeline": None}
    order = Order.from_json(json.dumps({**written, **{name: told[name] for name in names}}).encode())
    assert order.inputs["stack"] == "prod"


def test_a_monthly_report_covers_the_month_that_ended_and_a_monitoring_page_names_none():
    settings = PipelineSettings(report_language="es", report_zone="Europe/Madrid")
    monitoring = monitoring_input(settings, stack="prod")
    common = {"stack": "prod", "language": "es", "zone": "Europe/Madrid"}
    assert monthly_inputs(settings, stack="prod") == common | {"kind": "monthly", "month": ""}
    assert monitoring["inputs"] == common | {"kind": "monitoring"}
    assert (monitoring["purpose"], monitoring["machine"]) == ("report", "small")
    assert monitoring["max_seconds"] == 60 * settings.small_minutes


def test_the_kinds_are_those_of_the_worker():
    assert report_jobs.MONTHLY == stored.MONTHLY
    assert report_jobs.MONITORING == stored.MONITORING
    assert monthly_inputs(PipelineSettings(), stack="prod")["kind"] == stored.MONTHLY


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_of_reports_can_be_set(language):
    assert PipelineSettings.from_dict({"report_language": language}).report_language == language


@pytest.mark.parametrize("wrong", [{"report_language": "de"}, {"report_zone": "Mars/Olympus"}, {"report_zone": ""}])
def test_other_languages_and_zones_are_refused(wrong):
    with pytest.raises(PipelineInvalid):
        PipelineSettings.from_dict(wrong)


def test_the_parks_zone_can_be_any_of_the_database():
    read = PipelineSettings.from_dict({"report_zone": "America/Argentina/Buenos_Aires"})
    assert parse_zone(read.report_zone).key == read.report_zone
