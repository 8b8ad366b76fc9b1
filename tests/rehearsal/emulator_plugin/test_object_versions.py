"""A race in LocalStack's S3 that cannot be arranged from outside."""

import subprocess
from pathlib import Path

from rehearsal.emulator import PLUGIN, default_python
from rehearsal.emulators import DEFAULT


def test_an_object_written_while_versioning_is_turned_on_can_be_found_as_null(tmp_path: Path) -> None:
    """The overlap cannot be arranged from outside: what is stored then, LocalStack's own classes are asked."""
    program = (
        "from localstack.services.s3.models import S3Object, VersionedKeyStore; "
        "from petpark_emulator.aws import object_versions; object_versions.apply(); "
        "store = VersionedKeyStore(); store.set('k', S3Object(key='k', etag='e', version_id=None)); "
        "assert store.pop('k', 'null').key == 'k'; assert store.is_empty()"
    )
    environment = {"PYTHONPATH": str(PLUGIN), "HOME": str(tmp_path)}
    asked = subprocess.run(
        [default_python(DEFAULT), "-c", program], env=environment, capture_output=True, text=True, check=False
    )
    assert asked.returncode == 0, asked.stderr
