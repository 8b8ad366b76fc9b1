"""Check before a deployment that the caps of `petpark:pipeline` allow each kind of job at least once. Pure."""

from collections.abc import Mapping

from infra.configuration.pipeline_settings import PipelineSettings
from infra.configuration.settings_reader import SettingsInvalid
from infra.pipeline.job.facts import END_SECONDS
from infra.pipeline.lifecycle.stages import CANARY_SPARE_SECONDS


def require_affordable(settings: PipelineSettings, usd_per_hour: Mapping[str, Mapping[str, float]]) -> None:
    """Raise `SettingsInvalid` naming every cap below the price of a job; prices are by machine and type."""
    if problems := unaffordable(settings, usd_per_hour):
        raise SettingsInvalid("; ".join(problems))


def unaffordable(settings: PipelineSettings, usd_per_hour: Mapping[str, Mapping[str, float]]) -> list[str]:
    """A sentence for each cap below a job's maximum cost, as the state machine `job` reserves it."""
    jobs = [
        ("a check, move or test of small_minutes", "small", 60 * settings.small_minutes),
        ("a training of train_minutes", "training", 60 * settings.train_minutes),
    ]
    if settings.canary_percent and settings.prod_stack is not None:
        jobs.append(("a canary of canary_hours", "small", 3600 * settings.canary_hours + CANARY_SPARE_SECONDS))
    problems: list[str] = []
    for what, machine, seconds in jobs:
        type_, usd = dearest(usd_per_hour[machine], settings.boot_seconds + seconds + END_SECONDS)
        if usd > settings.job_usd:
            problems.append(_problem("job_usd", settings.job_usd, f"{what} on {type_}", usd))
    trials = len(settings.search)
    type_, usd = dearest(usd_per_hour["training"], settings.boot_seconds + 60 * settings.train_minutes + END_SECONDS)
    if trials and usd * trials > settings.execution_usd:
        what = f"{trials} trials of train_minutes on {type_}"
        problems.append(_problem("execution_usd", settings.execution_usd, what, usd * trials))
    return problems


def dearest(usd_per_hour: Mapping[str, float], seconds: int) -> tuple[str, float]:
    """The most expensive type, and what an instance of it costs in `seconds`."""
    type_ = max(usd_per_hour, key=usd_per_hour.__getitem__)
    return type_, usd_per_hour[type_] * seconds / 3600


def _problem(cap: str, limit: int, what: str, usd: float) -> str:
    return (
        f"petpark:pipeline: {cap} is {limit}, and {what} may cost {usd:.2f} USD, so it would not be launched. Raise "
        f"{cap}, give it less time, or choose cheaper types"
    )
