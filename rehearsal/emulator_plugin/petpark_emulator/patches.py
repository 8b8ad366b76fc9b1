"""Applies every patch, once, when LocalStack starts.

An error here ends the start: a LocalStack in which a patch no longer fits must not pass for a working one.
"""

import os
from collections.abc import Callable
from functools import wraps
from typing import Any

from localstack.runtime import hooks


@hooks.on_infra_start()
def apply() -> None:
    """LocalStack calls this before it serves its first request."""
    from petpark_emulator import connections, retries
    from petpark_emulator.access import enforcement
    from petpark_emulator.aws import (
        alarms,
        autoscaling,
        budgets,
        events,
        fleets,
        instances,
        launch_templates,
        machine_images,
        object_versions,
        queues,
        scheduler,
        step_functions,
    )

    for module in (
        autoscaling,
        connections,
        launch_templates,
        instances,  # after launch_templates: an instance must be whole when its events are sent
        fleets,
        machine_images,
        scheduler,
        budgets,
    ):
        module.apply()
    # These would load much that a rehearsal may never use, or too early.
    _when_loaded(
        {
            "cloudwatch": alarms.apply,
            "events": events.apply,
            "s3": object_versions.apply,
            "sqs": queues.apply,
            "stepfunctions": step_functions.apply,
        }
    )
    if os.environ["PETPARK_EMULATOR_ENFORCE_IAM"] == "1":
        enforcement.apply()
    retries.apply()  # last, to be asked first: what was answered was allowed


def _when_loaded(patches: dict[str, Callable[[], None]]) -> None:
    """Apply a service's patch right after LocalStack has loaded it, before its first call."""
    from localstack.services.plugins import ServicePluginManager

    original = ServicePluginManager._load_service_plugin

    @wraps(original)
    def load_service_plugin(self: Any, name: Any) -> Any:
        plugin = original(self, name)
        if patch := patches.pop(name, None):
            patch()
        return plugin

    ServicePluginManager._load_service_plugin = load_service_plugin
