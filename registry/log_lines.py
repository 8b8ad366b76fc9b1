"""The numbers in an endpoint's log lines that become CloudWatch metrics: `serving` writes them, `infra` reads them."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, kw_only=True)
class LogValue:
    """A number in a log line of the endpoint."""

    message: str
    field: str

    @property
    def pattern(self) -> str:
        """The lines that have it: a filter can only extract fields that its pattern names.

        https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntaxForMetricFilters.html
        https://docs.aws.amazon.com/cdk/api/v2/docs/aws-cdk-lib.aws_logs.MetricFilterOptions.html#metricvalue
        """
        return f'{{ ($.message = "{self.message}") && ($.{self.field} = *) }}'


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
