"""The numbers in log lines that become CloudWatch metrics: endpoints and jobs write them, `infra` reads them."""

from dataclasses import dataclass, replace
from typing import Final


@dataclass(frozen=True, kw_only=True)
class LogValue:
    """A number in a log line."""

    message: str
    field: str
    name: str = "message"
    """The field of the line that has `message`."""
    about: tuple[tuple[str, str], ...] = ()
    """Further fields and their texts, which a line must have."""

    def of(self, **about: str) -> "LogValue":
        """Returns the number in those lines that are about these things."""
        return replace(self, about=tuple(about.items()))

    @property
    def pattern(self) -> str:
        """The lines that have it: a filter can only extract fields that its pattern names.

        https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntaxForMetricFilters.html
        https://docs.aws.amazon.com/cdk/api/v2/docs/aws-cdk-lib.aws_logs.MetricFilterOptions.html#metricvalue
        """
        texts = [(self.name, self.message), *self.about]
        return f"{{ {' && '.join(f'($.{name} = "{text}")' for name, text in texts)} && ($.{self.field} = *) }}"


ANSWERED: Final = "answered"
"""The line that sums up the answers since the one before; none where nobody asked."""
REQUESTS: Final = LogValue(message=ANSWERED, field="requests")
SLOW: Final = LogValue(message=ANSWERED, field="slow")
ERRORS: Final = LogValue(message=ANSWERED, field="errors")
P99_MILLISECONDS: Final = LogValue(message=ANSWERED, field="p99_milliseconds")

STATE: Final = "state"
"""The line about the endpoint itself, once a minute."""
IN_SERVICE: Final = LogValue(message=STATE, field="in_service")
REFUSING: Final = LogValue(message=STATE, field="refusing")
STORE_SILENT_SECONDS: Final = LogValue(message=STATE, field="store_silent_seconds")
CERTIFICATE_DAYS: Final = LogValue(message=STATE, field="certificate_days")
DISK_PERCENT: Final = LogValue(message=STATE, field="disk_percent")
OTHER_VERSION_SECONDS: Final = LogValue(message=STATE, field="other_version_seconds")
TELEMETRY_LOST: Final = LogValue(message=STATE, field="telemetry_lost")

DRIFT: Final = "drift"
"""The log line of a drift job; its field `stack` has the stack's name."""
DRIFTING_CAMERAS: Final = LogValue(name="event", message=DRIFT, field="drifting_cameras")
SILENT_CAMERAS: Final = LogValue(name="event", message=DRIFT, field="silent_cameras")
DRIFTED_WINDOWS: Final = LogValue(name="event", message=DRIFT, field="drifted_windows")
ACCURACY_PERCENT: Final = LogValue(name="event", message=DRIFT, field="accuracy_percent")
