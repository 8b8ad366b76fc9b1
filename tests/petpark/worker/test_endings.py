"""What every way for an attempt to end leads to."""

import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError, NoCredentialsError
from hypothesis import given
from hypothesis import strategies as st

from petpark.worker.endings import Error, of_error, of_result, of_training
from registry.errors import KeyUnavailable, StoreRefused
from training.job import JobResult

RESULTS = st.one_of(
    st.none(),
    st.builds(
        JobResult,
        job=st.just("j"),
        status=st.sampled_from(["succeeded", "failed", "cancelled"]),
        error=st.sampled_from(["TookTooLong", "LossNotFinite", "Cancelled"]),
        message=st.text(max_size=20),
    ),
)


@given(st.integers(-64, 255), RESULTS, st.none() | st.just("spot notice: terminate"), st.text(max_size=30))
def test_a_stored_result_decides_and_without_one_only_the_code_to_blame_ends_a_job(status, result, why, lines):
    ending = of_training("j", status, result, why=why, last_lines=lines)
    if result is not None:
        assert ending.error == of_result(result).error
        assert (ending.error is None) == (result.status == "succeeded")
    elif why is not None:
        assert (ending.error, ending.cause) == (Error.INTERRUPTED, why)
    else:
        assert ending.error is (Error.CODE_FAILED if status in (1, 2) else Error.INTERRUPTED)
        assert ending.cause.endswith(lines or "")
    assert ending.cause or ending.error is None


def test_what_took_too_long_and_what_was_cancelled_have_names_of_their_own():
    late = JobResult(job="j", status="failed", error="TookTooLong", message="60 s")
    assert of_result(late).error is Error.TIMED_OUT
    assert of_result(JobResult(job="j", status="cancelled", error="Cancelled", message="why")).error is Error.CANCELLED


def fail_without_a_message() -> None:
    raise AssertionError


def test_an_error_without_a_message_is_described_by_the_line_that_raised_it():
    with pytest.raises(AssertionError) as failed:
        fail_without_a_message()
    cause = of_error("j", failed.value).cause
    assert cause.startswith("AssertionError: raised in ")
    assert "test_endings.py, line " in cause
    assert of_error("j", KeyError()).cause == "KeyError: without a message"
    silent = JobResult(job="j", status="failed", error="OutOfMemory", message="")
    assert of_result(silent).cause == "OutOfMemory: the job stored no message"


def refused(code: str, status: int) -> ClientError:
    answer = {"Error": {"Code": code, "Message": ""}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, "DescribeInstances")  # pyright: ignore[reportArgumentType]


def test_a_service_that_does_not_answer_is_an_interruption_and_a_missing_permission_is_not():
    without_credentials = StoreRefused("get x", "Unable to locate credentials")
    without_credentials.__cause__ = NoCredentialsError()  # the metadata service did not answer
    timeout = ConnectTimeoutError(endpoint_url="x")
    for passing in (refused("Throttling", 400), refused("Odd", 503), timeout, without_credentials):
        assert of_error("j", passing).error is Error.INTERRUPTED
    for lasting in (refused("AccessDenied", 403), StoreRefused("get x", "AccessDenied"), KeyError("x")):
        assert of_error("j", lasting).error is Error.CODE_FAILED


def test_a_key_that_kms_refuses_is_no_interruption_and_one_that_it_does_not_answer_for_is():
    def unavailable(cause: Exception) -> KeyUnavailable:
        error = KeyUnavailable("arn:key", str(cause))
        error.__cause__ = cause
        return error

    assert of_error("j", unavailable(refused("AccessDeniedException", 400))).error is Error.CODE_FAILED
    assert of_error("j", unavailable(ValueError("no key"))).error is Error.CODE_FAILED
    for passing in (refused("ThrottlingException", 400), ConnectTimeoutError(endpoint_url="x"), KeyError("PublicKey")):
        assert of_error("j", unavailable(passing)).error is Error.INTERRUPTED
