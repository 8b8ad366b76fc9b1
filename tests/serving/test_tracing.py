"""OpenTelemetry: what a collector on loopback is sent, and that nothing is paid for without one."""

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from serving.settings import SettingInvalid
from serving.telemetry import Metrics
from serving.tracing import start_tracing
from tests.serving.conftest import Http

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


class Collector:
    """An OTLP collector that keeps what it is sent."""

    def __init__(self) -> None:
        self.spans, self.metrics = [], {}
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.path == "/v1/traces":
                    sent = ExportTraceServiceRequest.FromString(body)
                    collector.spans += [
                        span for of in sent.resource_spans for scope in of.scope_spans for span in scope.spans
                    ]
                else:
                    sent = ExportMetricsServiceRequest.FromString(body)
                    collector.metrics |= {
                        metric.name: metric
                        for of in sent.resource_metrics
                        for scope in of.scope_metrics
                        for metric in scope.metrics
                    }
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    thread = threading.Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()


@pytest.fixture
def environment(collector, monkeypatch) -> dict[str, str]:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}


def attributes(span) -> dict[str, object]:
    return {each.key: each.value.string_value or each.value.int_value for each in span.attributes}


def test_a_collector_gets_a_span_for_each_answer_in_the_callers_trace_and_the_metrics(endpoint, collector, environment):
    tracing = start_tracing(environment, endpoint.metrics, {"service.instance.id": "host"})
    assert tracing is not None
    http = Http(tracing.wrap(endpoint.app))
    headers = {"content-type": "image/jpeg", "traceparent": f"00-{TRACE}-{SPAN}-01", "x-request-id": "mine"}
    began = time.time_ns()
    assert http.post("/v1/classify", content=endpoint.photo, headers=headers).status_code == 200
    assert http.post("/v1/classify", content=b"", headers=headers).status_code == 422
    assert http.get("/nowhere").status_code == 404
    assert http.get("/healthz/live").status_code == 200
    ended = time.time_ns()
    tracing.end()
    answered, refused, nowhere = sorted(collector.spans, key=lambda span: span.start_time_unix_nano)
    assert answered.name == refused.name == "POST /v1/classify"
    assert (answered.trace_id.hex(), answered.parent_span_id.hex()) == (TRACE, SPAN)
    assert attributes(answered) == {
        "http.request.method": "POST",
        "http.route": "/v1/classify",
        "http.response.status_code": 200,
        "petpark.request_id": "mine",
    }
    assert attributes(refused)["http.response.status_code"] == 422
    assert (nowhere.name, attributes(nowhere)["http.response.status_code"]) == ("GET", 404)
    assert all(began <= span.start_time_unix_nano < span.end_time_unix_nano <= ended for span in collector.spans)
    durations = collector.metrics["http.server.request.duration"].histogram.data_points
    spans = sum(span.end_time_unix_nano - span.start_time_unix_nano for span in collector.spans)
    assert sum(point.sum for point in durations) == pytest.approx(spans / 1e9)
    described = {name: metric.description for name, metric in collector.metrics.items() if name.startswith("petpark_")}
    assert all(described.values()), described
    predictions = collector.metrics["petpark_predictions"].sum.data_points
    assert [point.as_double for point in predictions] == [1]
    assert collector.metrics["petpark_ready"].gauge.data_points
    assert sum(point.count for point in collector.metrics["http.server.request.duration"].histogram.data_points) == 3


def test_an_application_that_fails_is_an_error_in_the_trace_and_fails_as_without_one(collector, environment):
    async def fail(scope, receive, send) -> None:
        await send({"type": "http.response.start", "status": 500, "headers": []})
        raise RuntimeError("broken")

    async def sent(_message) -> None: ...

    tracing = start_tracing(environment, Metrics(), {})
    assert tracing is not None
    scope = {"type": "http", "path": "/", "method": "GET", "headers": []}
    with pytest.raises(RuntimeError, match="broken"):
        asyncio.run(tracing.wrap(fail)(scope, None, sent))  # pyright: ignore[reportArgumentType]
    tracing.end()
    (span,) = collector.spans
    assert span.status.code == 2


@pytest.mark.parametrize(
    "environment",
    [{}, {"OTEL_EXPORTER_OTLP_ENDPOINT": " "}, {"OTEL_EXPORTER_OTLP_ENDPOINT": "x", "OTEL_SDK_DISABLED": "true"}],
)
def test_without_a_collector_nothing_is_traced(environment):
    assert start_tracing(environment, Metrics(), {}) is None


def test_a_protocol_that_is_not_spoken_is_refused():
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    with pytest.raises(SettingInvalid, match="http/protobuf"):
        start_tracing(environment, Metrics(), {})


def test_an_endpoint_without_a_collector_imports_nothing_of_opentelemetry():
    program = (
        "import sys, serving.__main__; from serving.tracing import start_tracing; "
        "from serving.telemetry import Metrics; "
        "assert start_tracing({}, Metrics(), {}) is None; "
        "assert not [name for name in sys.modules if name.startswith('opentelemetry')]"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)
