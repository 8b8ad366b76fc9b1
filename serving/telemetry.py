"""What an endpoint counts and times, for Prometheus to collect."""

import bisect
import functools
import math
import threading
from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from registry.log_lines import ERRORS, P99_MILLISECONDS, REQUESTS, SLOW

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


_WORK = ("/v1/classify", "/v2/models/", "/inference.")


class RecentAnswers:
    """The answers since the last look, for the log line that a single instance's alarms are made from.

    Only requests for the model's work count: probes of health would drown them. Many threads add, one takes.
    """

    def __init__(self, *, slow_seconds: float = 1.0) -> None:
        self._slow_seconds = slow_seconds
        self._lock = threading.Lock()
        self._seconds: list[float] = []
        self._errors = 0

    def add(self, route: str, status: int, seconds: float) -> None:
        """Count one answer; from 500 up it is an error of ours."""
        if route.startswith(_WORK):
            with self._lock:
                self._seconds.append(seconds)
                self._errors += status >= 500

    def take(self) -> Mapping[str, float]:
        """Returns and resets the sums: requests, errors, slow responses, 99th percentile (ms); empty without any."""
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
    """All measurements of one endpoint, in a registry of their own."""

    def __init__(self, *, slow_seconds: float = 1.0) -> None:
        self.registry = CollectorRegistry()
        at = self.registry
        self.recent = RecentAnswers(slow_seconds=slow_seconds)
        self.requests = Counter("petpark_requests", "Requests answered", ("route", "status"), registry=at)
        self.request_seconds = Histogram(
            "petpark_request_seconds", "Time from header lines to answer", ("route",), buckets=_SECONDS, registry=at
        )
        self.running = 0
        """Requests between their header lines and the end of their answer. Counted by the event loop alone."""
        Gauge("petpark_requests_in_flight", "Requests running now", registry=at).set_function(lambda: self.running)
        self.predictions = Counter("petpark_predictions", "Photos classified", ("version", "label"), registry=at)
        # `labels` takes longer than counting. For the same labels it always returns the same object.
        self._requests_of = functools.cache(self.requests.labels)
        self._seconds_of = functools.cache(self.request_seconds.labels)
        self._predictions_of = functools.cache(self.predictions.labels)
        self.ready = Gauge(
            "petpark_ready", "1 when a verified version answers and the endpoint is not draining", registry=at
        )
        self.serving = Gauge(
            "petpark_model", "1 for the version that answers now", ("name", "version", "digest"), registry=at
        )
        self.entry = Gauge("petpark_channel_entry", "Number of the channel entry in force here", registry=at)
        self.swaps = Counter("petpark_swaps", "Versions put into force since the start", registry=at)
        self.swap_seconds = Histogram(
            "petpark_swap_seconds",
            "Time from seeing a channel entry to answering from it",
            buckets=_SECONDS,
            registry=at,
        )
        self.refusals = Counter(
            "petpark_refused_versions", "Versions that this endpoint would not serve", ("reason",), registry=at
        )
        self.refusing = Gauge(
            "petpark_refusing", "1 while the version that the channel names is refused here", registry=at
        )
        self.withdrawals = Counter(
            "petpark_withdrawn_versions", "Versions taken out of force because their certificate was", registry=at
        )
        self.certified_seconds = Gauge(
            "petpark_certificate_remaining_seconds",
            "Time until the certificate of the version in force ends, negative once it has; NaN without one",
            registry=at,
        )
        self.provider = Gauge(
            "petpark_provider", "1 for what was wanted to compute on and what does", ("wanted", "used"), registry=at
        )
        self.fell_back = Gauge(
            "petpark_provider_fallback", "1 when something else computes than what was most wanted", registry=at
        )
        self.store_errors = Counter("petpark_store_errors", "Polls of the model store that failed", registry=at)
        self.passed_over = Gauge(
            "petpark_entries_passed_over", "Objects in the channel's log that are no entries of it", registry=at
        )
        self.polled = Gauge("petpark_last_poll_timestamp_seconds", "When the model store last answered", registry=at)

    def count(self, route: str, status: int, seconds: float) -> None:
        """Count a response and its duration. Thread-safe."""
        self._requests_of(route, status).inc()
        self._seconds_of(route).observe(seconds)
        self.recent.add(route, status, seconds)

    def count_prediction(self, version: int, label: str) -> None:
        """Count a classified photo. Thread-safe."""
        self._predictions_of(version, label).inc()

    def text(self) -> bytes:
        """Everything in Prometheus' text format."""
        return generate_latest(self.registry)
