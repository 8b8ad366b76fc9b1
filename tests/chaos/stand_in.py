"""A training that trains nothing: it publishes a version as a training does, once for each job."""

import tempfile
from pathlib import Path

from petpark.worker.order import Order
from registry.store.object_store import ObjectStore
from tests.chaos.site import Site
from training.job import JobResult
from training.jobs.run import find_version


class StandIn:
    """Stands for `python -m training` at one site."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def __call__(self, order: Order, _workspace: ObjectStore) -> JobResult:
        """Publish, unless an attempt before did."""
        catalog = self._site.catalog()
        version = find_version(catalog, order.job)
        if version is None:
            with tempfile.TemporaryDirectory(prefix="petpark-stand-in-") as directory:
                files = {name: Path(directory, name) for name in ("model.onnx", "report.html")}
                for name, path in files.items():
                    path.write_text(f"{name} of {order.job}")
                version = catalog.publish(
                    files,
                    labels=["cat", "dog"],
                    metrics={"accuracy": 0.9, "gate_accuracy": 1},
                    lineage={"run": order.job, "trained_by": order.requested_by, "dataset": self._site.dataset},
                )
        return JobResult(
            job=order.job,
            status="succeeded",
            outcome="published",
            version=version.number,
            digest=version.digest,
            metrics=dict(version.metrics),
        )
