"""Inputs of the job's states: values from the deployment, and expressions that several phases use. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from infra.configuration.pipeline_settings import PipelineSettings
from registry.layout.jobs import JOBS

END_SECONDS: Final = 600
"""Grace period after a job's own limit: to write its result and to shut down."""

LEAST_SECONDS: Final = 600
"""The shortest run for which another attempt is launched."""

PAGE: Final = 300
"""Keys per request: a response with 1,000 would exceed a state's 256 KiB."""

RESULT: Final = f'"{JOBS}" & $job & "/result.json"'
"""Key of the job's result, as an expression."""

ATTEMPT: Final = f'"{JOBS}" & $job & "/attempts/" & $attempt'
"""Prefix of the attempt's records, as an expression."""

RESERVATION: Final = '$month & $attempt & "/reserved/" & $string($reserved)'
"""Key of the attempt's reservation (its maximum cost), as an expression."""


@dataclass(frozen=True, kw_only=True)
class LaunchTemplate:
    """How the instances of a machine kind are launched."""

    template: str
    """Id of the launch template."""
    usd_per_hour: Mapping[str, float]
    """List price of an instance with its disk, by type, in order of preference."""
    spot: bool


@dataclass(frozen=True, kw_only=True)
class JobFacts:
    """Inputs from the deployment."""

    workspace: str
    subnets: Sequence[str]
    """Ids, one in each zone."""
    machines: Mapping[str, LaunchTemplate]
    """`training` and `small`."""
    tags: Mapping[str, str]
    """Tags of every instance, in addition to those for its job."""
    settings: PipelineSettings
