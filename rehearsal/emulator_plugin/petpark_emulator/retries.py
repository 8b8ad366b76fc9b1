"""A request that an SDK sends again is answered again, not carried out again.

An SDK that saw its connection break cannot know whether the request was carried out, and sends it once more. AWS knows
the second by its client token where an operation has one; LocalStack carries it out twice, and refuses the second
`Create...` as a duplicate. Every AWS SDK names a call in `amz-sdk-invocation-id`, the same for all of its attempts
(see the SDKs' reference guide, retry behaviour): a later attempt of a call that was answered gets that answer.
"""

import threading
from collections import OrderedDict
from typing import Any

from localstack.aws.api import RequestContext

REMEMBERED = 2048
"""Answers kept, the newest; an SDK tries again within seconds."""

LARGEST = 256 * 1024
"""Bytes of an answer that is kept: what changes something answers with less."""

type Answer = tuple[int, list[tuple[str, str]], bytes]

_answers: OrderedDict[str, Answer] = OrderedDict()
_lock = threading.Lock()


def apply() -> None:
    """Look at every request before it is carried out, and at every answer before it is sent."""
    from localstack.aws import handlers

    handlers.serve_custom_service_request_handlers.handlers.insert(0, answer_again)
    handlers.run_custom_response_handlers.append(remember)


def answer_again(chain: Any, context: RequestContext, response: Any) -> None:
    """End the chain with the answer that an earlier attempt of the same call was given."""
    call = _call(context)
    if call is None or _attempt(context) < 2:
        return
    with _lock:
        answer = _answers.get(call)
    if answer is not None:
        response.status_code, headers, body = answer
        response.headers.extend(headers)
        response.set_data(body)
        chain.stop()


def remember(chain: Any, context: RequestContext, response: Any) -> None:  # noqa: ARG001 — as handlers are called
    """Keep a good answer to a call, for as long as its caller might ask again."""
    call = _call(context)
    if call is None or response.status_code >= 300 or response.is_streamed:
        return
    body = response.get_data()
    if len(body) > LARGEST:
        return
    with _lock:
        _answers[call] = (response.status_code, list(response.headers.items()), body)
        while len(_answers) > REMEMBERED:
            _answers.popitem(last=False)


def _call(context: RequestContext) -> str | None:
    """What names the call; None for S3, whose own rules for repeated requests our store relies on."""
    if context.service is None or context.service.service_name == "s3" or context.is_internal_call:
        return None
    return context.request.headers.get("amz-sdk-invocation-id")


def _attempt(context: RequestContext) -> int:
    """Number of the attempt, from `amz-sdk-request: attempt=2; max=3`."""
    for part in context.request.headers.get("amz-sdk-request", "").split(";"):
        name, _, value = part.strip().partition("=")
        if name == "attempt" and value.isdecimal():
            return int(value)
    return 1
