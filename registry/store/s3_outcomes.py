"""Translates botocore's exceptions to the registry's errors."""

import contextlib
from collections.abc import Generator
from http import HTTPStatus

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    FlexibleChecksumError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    ResponseStreamingError,
)
from botocore.exceptions import ConnectionError as BotoConnectionError
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
from registry.store.s3_answers import store_time

SKEWED = "RequestTimeTooSkewed"
_REGION = "x-amz-bucket-region"


@contextlib.contextmanager
def outcomes(action: str, key: str) -> Generator[None]:
    """Turn botocore's exceptions into ours."""
    try:
        yield
    except ClientError as error:
        raise _outcome(action, key, error) from error
    except (IncompleteReadError, ResponseStreamingError, FlexibleChecksumError) as error:
        raise StreamTorn(f"{action} {key}", str(error)) from error
    except ResponseParserError as error:
        raise ForeignAnswer(f"{action} {key}", f"{error!s:.200}") from error
    except (HTTPClientError, BotoConnectionError) as error:
        raise StoreUnavailable(f"{action} {key}", str(error)) from error
    except BotoCoreError as error:
        raise StoreRefused(f"{action} {key}", str(error)) from error


def lacks_credentials(error: Exception) -> bool:
    """Whether AWS credentials could not be read: on an instance, its metadata service did not answer."""
    missing = NoCredentialsError | CredentialRetrievalError
    return isinstance(error, missing) or isinstance(error.__cause__, missing)


def _outcome(action: str, key: str, error: ClientError) -> RegistryError:
    error_body = error.response.get("Error", {})
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if error_body.get("Code") == SKEWED:
        return ClockSkewed(str(store_time(error.response) or "the store's"), actual=str(error))
    if _is_foreign(error, error_body.get("Code", ""), status):
        return ForeignAnswer(f"{action} {key}", f"status {status} without S3's document")
    return outcome(f"{action} {key}", key, code=error_body.get("Code", ""), status=status, message=str(error))


def _is_foreign(error: ClientError, code: str, status: int) -> bool:
    """Whether an error has no S3 code: botocore then uses the status.

    An answer to HEAD has no body, but S3 names the region in every redirect.
    """
    if error.operation_name == "HeadObject":
        headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
        return HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST and _REGION not in headers
    return code.isdigit() and status < HTTPStatus.INTERNAL_SERVER_ERROR


def outcome(action: str, key: str, *, code: str, status: int, message: str) -> RegistryError:
    """What an error response of S3 means, by its error code and HTTP status."""
    if status == HTTPStatus.NOT_IMPLEMENTED or code == "NotImplemented":
        return StoreUnable(action, message)
    if status == 412:
        return ObjectExists(key)
    if status == 409:
        return StoreConflict(action, message)
    if code == "NoSuchUpload":  # the answer to an earlier try was lost: the upload was completed, or aborted
        return StoreUnavailable(action, message)
    if status == 404 and code != "NoSuchBucket":
        return ObjectMissing(key)
    if code == SKEWED:
        return ClockSkewed("the store's", actual=message)
    if status >= 500 or code in {"SlowDown", "RequestTimeout", "ThrottlingException", "Throttling"}:
        return StoreUnavailable(action, message)
    return StoreRefused(action, message)
