"""One reading of AWS's service descriptions for all boto3 sessions of a test process.

By default each session reads them again: megabytes of JSON for a client of EC2, in tests that make many sessions.
"""

from pathlib import Path
from typing import override

import boto3
import botocore.loaders
import botocore.session


class SharedLoader(botocore.loaders.Loader):
    """Caches what it has read, and looks in boto3's folder, too."""

    def __init__(self) -> None:
        super().__init__(extra_search_paths=[str(Path(boto3.__file__).parent / "data")])

    @property
    @override
    def search_paths(self) -> list[str]:
        """A copy: each boto3 session appends boto3's folder."""
        return [*super().search_paths]


def share_service_descriptions() -> None:
    """Let every botocore session of this process read through one loader."""
    loader = SharedLoader()
    botocore.session.create_loader = lambda search_path_string=None: loader
