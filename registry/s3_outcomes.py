"""What botocore raises, as outcomes of ours."""

import contextlib
from collections.abc import Generator, Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    IncompleteReadError,
    ResponseStreamingError,
)
from botocore.exceptions import ConnectionError as BotoConnectionError

from registry.errors import (
    ClockSkewed,
    ObjectExists,
    ObjectMissing,
    RegistryError,
    StoreConflict,
    StoreRefused,
    StoreUnavailable,
    StreamTorn,
)

SKEWED = "RequestTimeTooSkewed"


def store_time(answer: Mapping[str, Any]) -> datetime | None:
    """When the store answered, by its own clock; None where it does not say."""
    said = answer["ResponseMetadata"].get("HTTPHeaders", {}).get("date")
    return parsedate_to_datetime(said) if said else None


@contextlib.contextmanager
def outcomes(action: str, key: str) -> Generator[None]:
    """Turn botocore's exceptions into ours."""
    try:
        yield
    except ClientError as error:
        raise _outcome(action, key, error) from error
    except (IncompleteReadError, ResponseStreamingError) as error:
        raise StreamTorn(f"{action} {key}", str(error)) from error
    except (HTTPClientError, BotoConnectionError) as error:
        raise StoreUnavailable(f"{action} {key}", str(error)) from error
    except BotoCoreError as error:
        raise StoreRefused(f"{action} {key}", str(error)) from error


def _outcome(action: str, key: str, error: ClientError) -> RegistryError:
    said = error.response.get("Error", {})
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if said.get("Code") == SKEWED:
        return ClockSkewed(str(store_time(error.response) or "the store's"), actual=str(error))
    return outcome(f"{action} {key}", key, code=said.get("Code", ""), status=status, said=str(error))


def outcome(action: str, key: str, *, code: str, status: int, said: str) -> RegistryError:
    """What an error response of S3 means, by its error code and HTTP status."""
    if status == 412:
        return ObjectExists(key)
    if status == 409:
        return StoreConflict(action, said)
    if code == "NoSuchUpload":  # the answer to an earlier try was lost: the upload was completed, or aborted
        return StoreUnavailable(action, said)
    if status == 404 and code != "NoSuchBucket":
        return ObjectMissing(key)
    if code == SKEWED:
        return ClockSkewed("the store's", actual=said)
    if status >= 500 or code in {"SlowDown", "RequestTimeout", "ThrottlingException", "Throttling"}:
        return StoreUnavailable(action, said)
    return StoreRefused(action, said)
