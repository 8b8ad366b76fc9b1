"""Applies every remedy, once, when LocalStack starts.

An error here ends the start: a LocalStack in which a remedy no longer fits must not pass for a working one.
"""

from localstack.runtime import hooks


@hooks.on_infra_start()
def apply() -> None:
    """LocalStack calls this before it serves its first request."""
    from petpark_emulator import (
        autoscaling,
        instances,
        launch_templates,
        machine_images,
    )

    for module in (
        autoscaling,
        instances,
        launch_templates,
        machine_images,
    ):
        module.apply()
