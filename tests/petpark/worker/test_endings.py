"""What every way for an attempt to end leads to."""

from botocore.exceptions import ClientError, ConnectTimeoutError
from hypothesis import given
from hypothesis import strategies as st

from petpark.worker.endings import Error, of_error, of_result, of_training
from registry.errors import StoreRefused
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


def refused(code: str, status: int) -> ClientError:
    answer = {"Error": {"Code": code, "Message": ""}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, "DescribeInstances")  # pyright: ignore[reportArgumentType]


def test_a_service_that_does_not_answer_is_an_interruption_and_a_missing_permission_is_not():
    for passing in (refused("Throttling", 400), refused("Odd", 503), ConnectTimeoutError(endpoint_url="x")):
        assert of_error("j", passing).error is Error.INTERRUPTED
    for lasting in (refused("AccessDenied", 403), StoreRefused("get x", "AccessDenied"), KeyError("x")):
        assert of_error("j", lasting).error is Error.CODE_FAILED
