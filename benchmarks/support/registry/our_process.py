"""petpark's publish or fetch as a whole process, for comparison with tools that are one.

`python -m benchmarks.support.registry.our_process publish|fetch URL BUCKET MODEL DIRECTORY`.
"""

import sys
from pathlib import Path

import boto3

from benchmarks.support.s3_server import REGION
from registry.store.crt_transfer import crt_transfer
from registry.store.s3_client import s3_client
from registry.store.s3_store import S3Store
from registry.versions.catalog import Catalog


def publish(catalog: Catalog, directory: Path) -> None:
    """Every file of `directory` as one version."""
    files = {path.name: path for path in directory.iterdir()}
    catalog.publish(files, labels=["cat", "dog"], metrics={}, lineage={})


def fetch(catalog: Catalog, directory: Path) -> None:
    """The latest version into `directory`."""
    version = catalog.latest()
    assert version is not None
    catalog.fetch(version, directory)


def main() -> None:
    """Run the command line's operation."""
    verb, url, bucket, model, directory = sys.argv[1:]
    client = s3_client(url, REGION)
    store = S3Store(client, bucket, transfer=crt_transfer(boto3.Session(), client), transfer_reads=True)
    catalog = Catalog(store, model)
    (publish if verb == "publish" else fetch)(catalog, Path(directory))


if __name__ == "__main__":
    main()
