"""Each error response of S3 has one meaning, by its code or its status.

https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
"""

import pytest

from registry.errors import (
    ClockSkewed,
    ObjectExists,
    ObjectMissing,
    RegistryError,
    StoreConflict,
    StoreRefused,
    StoreUnable,
    StoreUnavailable,
)
from registry.store.s3_outcomes import outcome


@pytest.mark.parametrize(
    ("code", "status", "meaning"),
    [
        ("NotImplemented", 400, StoreUnable),
        ("", 501, StoreUnable),
        ("PreconditionFailed", 412, ObjectExists),
        ("ConditionalRequestConflict", 409, StoreConflict),
        ("NoSuchUpload", 404, StoreUnavailable),
        ("NoSuchKey", 404, ObjectMissing),
        ("NoSuchBucket", 404, StoreRefused),
        ("RequestTimeTooSkewed", 403, ClockSkewed),
        ("InternalError", 500, StoreUnavailable),
        ("ServiceUnavailable", 503, StoreUnavailable),
        ("", 499, StoreRefused),
        ("SlowDown", 400, StoreUnavailable),
        ("RequestTimeout", 400, StoreUnavailable),
        ("Throttling", 400, StoreUnavailable),
        ("ThrottlingException", 400, StoreUnavailable),
        ("AccessDenied", 403, StoreRefused),
    ],
)
def test_an_error_of_s3_has_one_meaning(code: str, status: int, meaning: type[RegistryError]):
    found = outcome("put a/key", "a/key", code=code, status=status, message="so it was said")
    assert type(found) is meaning
    if meaning in (ObjectExists, ObjectMissing):
        assert "a/key" in str(found)
    else:
        assert "so it was said" in str(found)
    if meaning in (StoreConflict, StoreRefused, StoreUnable, StoreUnavailable):
        assert "put a/key" in str(found)
