"""Prometheus metrics of an endpoint."""

import bisect
import functools
import math
import threading
from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from registry.log_lines import ERRORS, P99_MILLISECONDS, REQUESTS, SLOW

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


_INFERENCE_ROUTES = ("/v1/classify", "/v2/models/", "/inference.")


class RecentAnswers:
    """Statistics of recent responses, for the log line from which a single instance's alarms are made.

    Only inference requests are counted, not health checks. Thread-safe.
    """

    def __init__(self, *, slow_seconds: float = 1.0) -> None:
        self._slow_seconds = slow_seconds
        self._lock = threading.Lock()
        self._seconds: list[float] = []
        self._errors = 0

    def add(self, route: str, status: int, seconds: float) -> None:
        """Count a response; a status of 500 and above is an error."""
        if route.startswith(_INFERENCE_ROUTES):
            with self._lock:
                self._seconds.append(seconds)
                self._errors += status >= 500

    def take(self) -> Mapping[str, float]:
        """Returns and resets requests, errors, slow responses and the 99th percentile (ms); empty without requests."""
        with self._lock:
            seconds, errors = sorted(self._seconds), self._errors
            self._seconds, self._errors = [], 0
        if not seconds:
            return {}
        slowest = seconds[math.ceil(0.99 * len(seconds)) - 1]
        slow = len(seconds) - bisect.bisect_right(seconds, self._slow_seconds)
        return {
            REQUESTS.field: len(seconds),
            ERRORS.field: errors,
            SLOW.field: slow,
            P99_MILLISECONDS.field: round(1000 * slowest, 3),
        }


class Metrics:
    """All metrics of one endpoint, in a separate registry."""

    def __init__(self, *, slow_seconds: float = 1.0) -> None:
        self.registry = CollectorRegistry()
        at = self.registry
        self.recent = RecentAnswers(slow_seconds=slow_seconds)
        self.requests = Counter("petpark_requests", "Responses sent", ("route", "status"), registry=at)
        self.request_seconds = Histogram(
            "petpark_request_seconds", "Time from header lines to response", ("route",), buckets=_SECONDS, registry=at
        )
        self.running = 0
        """Requests between their header lines and the end of their response. Changed only by the event loop."""
        Gauge("petpark_requests_in_flight", "Requests running now", registry=at).set_function(lambda: self.running)
        self.predictions = Counter("petpark_predictions", "Photos classified", ("version", "label"), registry=at)
        # `labels` is slower than counting, and returns the same object for the same labels.
        self._requests_of = functools.cache(self.requests.labels)
        self._seconds_of = functools.cache(self.request_seconds.labels)
        self._predictions_of = functools.cache(self.predictions.labels)
        self.ready = Gauge(
            "petpark_ready", "1 if a verified version is active and the endpoint is not draining", registry=at
        )
        self.serving = Gauge("petpark_model", "1 for the active version", ("name", "version", "digest"), registry=at)
        self.entry = Gauge("petpark_channel_entry", "Number of the active channel entry", registry=at)
        self.swaps = Counter("petpark_swaps", "Versions activated since the start", registry=at)
        self.swap_seconds = Histogram(
            "petpark_swap_seconds",
            "Time from reading a channel entry to serving its version",
            buckets=_SECONDS,
            registry=at,
        )
        self.refusals = Counter(
            "petpark_refused_versions", "Versions that this endpoint refused to serve", ("reason",), registry=at
        )
        self.refusing = Gauge("petpark_refusing", "1 while the channel's version is refused", registry=at)
        self.withdrawals = Counter(
            "petpark_withdrawn_versions",
            "Versions deactivated because their certificate is no longer valid",
            registry=at,
        )
        self.certified_seconds = Gauge(
            "petpark_certificate_remaining_seconds",
            "Time until the active version's certificate expires, negative afterwards; NaN without one",
            registry=at,
        )
        self.provider = Gauge(
            "petpark_provider", "1 for the requested and the used execution provider", ("wanted", "used"), registry=at
        )
        self.fell_back = Gauge(
            "petpark_provider_fallback", "1 if the most preferred execution provider is not used", registry=at
        )
        self.store_errors = Counter("petpark_store_errors", "Polls of the model store that failed", registry=at)
        self.passed_over = Gauge(
            "petpark_entries_passed_over", "Invalid objects in the channel's log, which are skipped", registry=at
        )
        self.polled = Gauge(
            "petpark_last_poll_timestamp_seconds", "Time of the model store's last response", registry=at
        )

    def count(self, route: str, status: int, seconds: float) -> None:
        """Count a response and its duration. Thread-safe."""
        self._requests_of(route, status).inc()
        self._seconds_of(route).observe(seconds)
        self.recent.add(route, status, seconds)

    def count_prediction(self, version: int, label: str) -> None:
        """Count a classified photo. Thread-safe."""
        self._predictions_of(version, label).inc()

    def text(self) -> bytes:
        """Returns all metrics in the Prometheus text format."""
        return generate_latest(self.registry)
