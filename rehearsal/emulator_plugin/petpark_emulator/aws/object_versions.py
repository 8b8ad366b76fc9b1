"""An object that is written while versioning is being turned on can be deleted again.

In S3 what was written without versioning is the version `null`. LocalStack files an object whose write overlaps with
turning versioning on under no version at all, lists it as `null` and then cannot find it: the bucket is never empty
again.
"""

from functools import wraps
from typing import Any


def apply() -> None:
    """File every object of a versioned bucket under a version."""
    from localstack.services.s3.models import VersionedKeyStore

    original = VersionedKeyStore.set

    @wraps(original)
    def set_version(self: Any, object_key: Any, s3_object: Any) -> None:
        if s3_object.version_id is None:
            s3_object.version_id = "null"
        original(self, object_key, s3_object)

    VersionedKeyStore.set = set_version
