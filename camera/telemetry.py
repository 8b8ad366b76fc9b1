"""What the agent counts and times, for Prometheus to collect."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5)


class AgentMetrics:
    """All measurements of one agent, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = at = CollectorRegistry()
        self.frames = Counter(
            "petpark_camera_frames",
            "Frames by what became of them: received, damaged, still, replaced by a newer one, classified, unanswered",
            ("camera", "fate"),
            registry=at,
        )
        self.connected = Gauge(
            "petpark_camera_connected", "1 while frames come from the camera", ("camera",), registry=at
        )
        self.losses = Counter("petpark_camera_losses", "Connections that broke or failed", ("camera",), registry=at)
        self.skew = Gauge(
            "petpark_camera_skew_seconds", "The camera's clock before ours, at its last frame", ("camera",), registry=at
        )
        self.skewed = Counter(
            "petpark_camera_skewed_frames",
            "Frames whose time was not believed: off by more than the tolerance, or after a jump of the named clock",
            ("camera", "clock"),
            registry=at,
        )
        self.answer_seconds = Histogram(
            "petpark_camera_answer_seconds",
            "Time from a decoded frame to its answer",
            ("camera",),
            buckets=_SECONDS,
            registry=at,
        )
        self.events = Counter("petpark_camera_events", "Events recorded", ("camera", "kind", "label"), registry=at)
        self.unrecorded = Counter(
            "petpark_camera_unrecorded_events", "Events that the disk would not take", ("camera",), registry=at
        )
        self.forwarded = Counter("petpark_camera_forwarded_events", "Events that the data lake has", registry=at)
        self.forward_failures = Counter(
            "petpark_camera_forward_failures", "Tries to forward that failed", ("outcome",), registry=at
        )
        self.waiting = Gauge("petpark_camera_spool_waiting_events", "Events that wait on the disk", registry=at)
        self.spool_bytes = Gauge("petpark_camera_spool_bytes", "Size of the spool", registry=at)
        self.evicted = Gauge(
            "petpark_camera_spool_evicted_events", "Events that the bound pushed out unforwarded, ever", registry=at
        )

    def text(self) -> bytes:
        """Everything in Prometheus' text format."""
        return generate_latest(self.registry)
