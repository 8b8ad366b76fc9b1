"""Applies every remedy, once, when LocalStack starts.

An error here ends the start: a LocalStack in which a remedy no longer fits must not pass for a working one.
"""

import os
from collections.abc import Callable
from functools import wraps

from localstack.runtime import hooks


@hooks.on_infra_start()
def apply() -> None:
    """LocalStack calls this before it serves its first request."""
    from petpark_emulator import (
        activations,
        autoscaling,
        connections,
        instances,
        launch_templates,
        machine_images,
        object_versions,
        queues,
        retries,
        scheduler,
        spending,
        step_functions,
        trails,
    )
    from petpark_emulator.access import enforcement

    for module in (
        activations,
        autoscaling,
        connections,
        launch_templates,
        instances,  # after launch_templates: what is told of an instance must be whole
        machine_images,
        scheduler,
        spending,
        trails,
    ):
        module.apply()
    # These would load much that a rehearsal may never use, or too early.
    _when_loaded({"s3": object_versions.apply, "sqs": queues.apply, "stepfunctions": step_functions.apply})
    if os.environ["PETPARK_EMULATOR_ENFORCE_IAM"] == "1":
        enforcement.apply()
    retries.apply()  # last, to be asked first: what was answered was allowed


def _when_loaded(remedies: dict[str, Callable[[], None]]) -> None:
    """Apply a service's remedy right after LocalStack has loaded it, before its first call."""
    from localstack.services.plugins import ServicePluginManager

    original = ServicePluginManager._load_service_plugin

    @wraps(original)
    def load_service_plugin(self, name):
        plugin = original(self, name)
        if remedy := remedies.pop(name, None):
            remedy()
        return plugin

    ServicePluginManager._load_service_plugin = load_service_plugin
