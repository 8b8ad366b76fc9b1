"""Traces and metrics by OpenTelemetry, if its standard environment variables name a collector.

Without them OpenTelemetry is not imported, and requests do not pass through this module.
https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from prometheus_client.metrics_core import Metric
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.settings import SettingInvalid
from serving.telemetry import Metrics

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from opentelemetry.metrics import CallbackOptions, Observation

logger = logging.getLogger(__name__)

ENDPOINTS: Final = (
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
)
PROTOCOL: Final = "OTEL_EXPORTER_OTLP_PROTOCOL"
_PROTOCOL: Final = "http/protobuf"
_SERVICE: Final = "petpark-endpoint"
_FLUSH_SECONDS: Final = 2.0
_UNTRACED: Final = frozenset({"/healthz/live", "/healthz/ready", "/healthz/in-service", "/metrics"})
_KINDS: Final = frozenset({"counter", "gauge"})


class Tracing:
    """Sends a span for each request, `http.server.request.duration`, and the counters and gauges of `/metrics`."""

    def __init__(self, metrics: Metrics, attributes: Mapping[str, str]) -> None:
        """`attributes` describe the process; OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME override them."""
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        named = OTELResourceDetector().detect().attributes
        resource = Resource.create({"service.name": _SERVICE, **attributes, **named})
        self._traces = TracerProvider(resource=resource)
        self._traces.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._meters = MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter())], resource=resource)
        self._tracer = self._traces.get_tracer("petpark")
        self._propagator = TraceContextTextMapPropagator()
        meter = self._meters.get_meter("petpark")
        self._durations = meter.create_histogram("http.server.request.duration", unit="s")
        for family in metrics.registry.collect():
            if family.type in _KINDS:
                create = meter.create_observable_counter if family.type == "counter" else meter.create_observable_gauge
                create(family.name, [_observe(metrics, family.name)], description=family.documentation)

    def wrap(self, app: ASGIApp) -> ASGIApp:
        """Returns `app` with a span around each request except health checks and metrics."""

        async def traced(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http" or scope["path"] in _UNTRACED:
                await app(scope, receive, send)
            else:
                await self._trace(app, scope, receive, send)

        return traced

    def end(self) -> None:
        """Send the remaining data, for up to two seconds."""

        def flush() -> None:
            self._traces.shutdown()
            self._meters.shutdown()

        thread = threading.Thread(target=flush, name="opentelemetry-end", daemon=True)
        thread.start()
        thread.join(_FLUSH_SECONDS)

    async def _trace(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Trace one request. The span ends with the response, which another thread may send before the request ends."""
        from opentelemetry.trace import SpanKind, StatusCode

        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        start, sent, status = time.time_ns(), 0, 0
        span = self._tracer.start_span(
            scope["method"], self._propagator.extract(headers), SpanKind.SERVER, start_time=start
        )

        def note(message: Message) -> Awaitable[None]:
            nonlocal sent, status
            if message["type"] == "http.response.start":
                status = message["status"]
            sent = time.time_ns()
            return send(message)

        try:
            await app(scope, receive, note)
        finally:
            route = scope.get("route")
            facts: dict[str, Any] = {"http.request.method": scope["method"], "http.response.status_code": status}
            if isinstance(route, Route):
                facts["http.route"] = route.path
                span.update_name(f"{scope['method']} {route.path}")
            span.set_attributes({**facts, "petpark.request_id": scope.get("state", {}).get("request_id", "")})
            if status >= 500:  # https://opentelemetry.io/docs/specs/semconv/http/http-spans/#status
                span.set_status(StatusCode.ERROR)
            end = sent or time.time_ns()
            span.end(end)
            self._durations.record((end - start) / 1e9, facts)


def start_tracing(environment: Mapping[str, str], metrics: Metrics, attributes: Mapping[str, str]) -> Tracing | None:
    """Returns the tracer; None if no variable names a collector. Raises `SettingInvalid`."""
    named = [name for name in ENDPOINTS if environment.get(name, "").strip()]
    if not named or environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    protocol = environment.get(PROTOCOL, "").strip() or _PROTOCOL
    if protocol != _PROTOCOL:
        raise SettingInvalid(f"{PROTOCOL} is {protocol!r}; only {_PROTOCOL} is supported.")
    try:
        tracing = Tracing(metrics, attributes)
    except ModuleNotFoundError as error:
        raise SettingInvalid(
            f"{named[0]} is set, but {error.name} is not installed: pip install -r requirements/serving.txt"
        ) from error
    logger.info("sending traces and metrics by OpenTelemetry", extra={"variable": named[0]})
    return tracing


def _observe(metrics: Metrics, name: str) -> Callable[[CallbackOptions], Iterable[Observation]]:
    def observe(_: CallbackOptions) -> Iterable[Observation]:
        from opentelemetry.metrics import Observation

        for sample in _family(metrics, name).samples:
            if not sample.name.endswith("_created"):
                yield Observation(sample.value, dict(sample.labels))

    return observe


def _family(metrics: Metrics, name: str) -> Metric:
    return next(family for family in metrics.registry.collect() if family.name == name)
