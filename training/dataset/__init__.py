"""Photos become a dataset: found, checked, measured, split, and named by their content."""

from training.dataset.ingest import Base, Ingestion, ingest, ingest_from
from training.dataset.manifest import Manifest, Photo, Split, load_manifest
from training.dataset.splits.split import SplitBy

__all__ = ["Base", "Ingestion", "Manifest", "Photo", "Split", "SplitBy", "ingest", "ingest_from", "load_manifest"]
