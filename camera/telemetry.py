"""The agent's Prometheus metrics."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5)


class AgentMetrics:
    """All metrics of one agent, in their own registry."""

    def __init__(self) -> None:
        self.registry = at = CollectorRegistry()
        self.frames = Counter(
            "petpark_camera_frames",
            "Frames by outcome: received, damaged, still, replaced by a newer one, classified, unanswered",
            ("camera", "fate"),
            registry=at,
        )
        self.connected = Gauge(
            "petpark_camera_connected", "1 while frames arrive from the camera", ("camera",), registry=at
        )
        self.losses = Counter("petpark_camera_losses", "Connections that broke or failed", ("camera",), registry=at)
        self.skew = Gauge(
            "petpark_camera_skew_seconds",
            "Seconds that the camera's clock is ahead, at its last frame",
            ("camera",),
            registry=at,
        )
        self.skewed = Counter(
            "petpark_camera_skewed_frames",
            "Frames with an implausible time: off by more than the tolerance, or after a jump of the labelled clock",
            ("camera", "clock"),
            registry=at,
        )
        self.answer_seconds = Histogram(
            "petpark_camera_answer_seconds",
            "Seconds from a decoded frame to its prediction",
            ("camera",),
            buckets=_SECONDS,
            registry=at,
        )
        self.events = Counter("petpark_camera_events", "Events recorded", ("camera", "kind", "label"), registry=at)
        self.unrecorded = Counter(
            "petpark_camera_unrecorded_events", "Events that could not be written to the disk", ("camera",), registry=at
        )
        self.forwarded = Counter("petpark_camera_forwarded_events", "Events uploaded to the data lake", registry=at)
        self.forward_failures = Counter("petpark_camera_forward_failures", "Failed uploads", ("outcome",), registry=at)
        self.waiting = Gauge(
            "petpark_camera_spool_waiting_events", "Events on the disk that wait for upload", registry=at
        )
        self.spool_bytes = Gauge("petpark_camera_spool_bytes", "Size of the spool in bytes", registry=at)
        self.evicted = Gauge(
            "petpark_camera_spool_evicted_events",
            "Events evicted by the spool's bound before their upload, since its creation",
            registry=at,
        )

    def text(self) -> bytes:
        """Returns all metrics in Prometheus' text format."""
        return generate_latest(self.registry)
