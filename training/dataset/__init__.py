"""Photos become a dataset: found, checked, measured, split, and named by their content."""

from training.dataset.ingest import Ingestion, ingest
from training.dataset.manifest import Manifest, Photo, load_manifest
from training.dataset.split import Split

__all__ = ["Ingestion", "Manifest", "Photo", "Split", "ingest", "load_manifest"]
