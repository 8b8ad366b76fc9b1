"""Each error response of S3 has one meaning, by its code or its status.

https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
"""

from typing import Any

import pytest
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    IncompleteReadError,
    NoCredentialsError,
    ReadTimeoutError,
)
from botocore.parsers import ResponseParserError

from registry.errors import (
    ClockSkewed,
    ForeignAnswer,
    ObjectExists,
    ObjectMissing,
    RegistryError,
    StoreConflict,
    StoreRefused,
    StoreUnable,
    StoreUnavailable,
    StreamTorn,
)
from registry.store.s3_outcomes import lacks_credentials, outcome, outcomes


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


RESPONSE: Any = {"Error": {"Code": "AccessDenied"}, "ResponseMetadata": {"HTTPStatusCode": 403}}


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        (ClientError(RESPONSE, "PutObject"), StoreRefused),
        (IncompleteReadError(actual_bytes=1, expected_bytes=2), StreamTorn),
        (ResponseParserError("no XML"), ForeignAnswer),
        (ConnectTimeoutError(endpoint_url="http://store"), StoreUnavailable),
        (ReadTimeoutError(endpoint_url="http://store"), StoreUnavailable),
        (NoCredentialsError(), StoreRefused),
        (BotoCoreError(), StoreRefused),
    ],
)
def test_an_exception_of_botocore_names_what_was_done_to_which_key(error: Exception, meaning: type[RegistryError]):
    with pytest.raises(meaning) as raised, outcomes("write", "a/key"):
        raise error
    assert type(raised.value) is meaning
    assert "write a/key" in str(raised.value)
    assert raised.value.__cause__ is error


@pytest.mark.parametrize(
    "missing", [NoCredentialsError(), CredentialRetrievalError(provider="iam-role", error_msg="no answer")]
)
def test_missing_credentials_are_known_as_such_and_as_the_cause_of_a_refusal(missing: Exception):
    assert lacks_credentials(missing)
    with pytest.raises(StoreRefused) as raised, outcomes("read", "a/key"):
        raise missing
    assert lacks_credentials(raised.value)
    with pytest.raises(StoreRefused) as denied, outcomes("read", "a/key"):
        raise ClientError(RESPONSE, "GetObject")
    assert not lacks_credentials(denied.value)
    assert not lacks_credentials(ValueError())
