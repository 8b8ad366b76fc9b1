"""Step Functions: attempts apart from each other, executions that stop, user data as given, JSONata without Java.

- A retried task with a token gets a new token; what the earlier attempt's worker reports is refused. LocalStack hands
  the same token out again together with the outcome it already has.
- Answers and heartbeats are taken while another execution starts. LocalStack reads its definition first, for seconds if
  it is long, and answers them with InternalError meanwhile.
- A task without a heartbeat fails with `States.HeartbeatTimeout`, which a `Catch` may name. LocalStack says
  `States.Timeout`, as for a task that takes too long.
- StopExecution ends an execution that waits for a token, as ABORTED. LocalStack waits for the token first and then
  calls the execution failed.
- `aws-sdk:ec2:runInstances` takes user data that is base64 already. LocalStack encodes it once more.
- A history comes in pages. LocalStack copies and sends all of it, however few events are requested.
- JSONata works. LocalStack wants to download a Java runtime for it; here the `jsonata-python` package evaluates it.
- JSONata has `$hash` and `$uuid`, `$parse` reads JSON, and texts may have quotes and line breaks.
"""

import base64
import binascii
import hashlib
import json
import uuid
from collections.abc import Callable
from functools import wraps
from typing import Any


def apply() -> None:
    """Fix the Step Functions interpreter; to be called before its first state machine runs."""
    _give_each_attempt_its_token()
    _name_heartbeat_timeouts()
    _begin_executions_whole()
    _end_waiting_executions()
    _pass_user_data_as_given()
    _page_histories()
    _evaluate_jsonata_in_python()


def _give_each_attempt_its_token() -> None:
    from localstack.services.stepfunctions.asl.component.state.state_execution.state_task.service.state_task_service_callback import (  # noqa: E501
        StateTaskServiceCallback,
    )
    from localstack.services.stepfunctions.asl.eval.callback.callback import CallbackConsumerTimeout

    original = StateTaskServiceCallback._evaluate_with_timeout

    @wraps(original)
    def evaluate_with_timeout(self: Any, env: Any) -> Any:
        context, pool = env.states.context_object, env.callback_pool_manager
        token = None
        if self._is_integration_pattern() and "Task" in context.context_object_data:
            if context.context_object_data["State"].get("RetryCount"):
                pool.add(context.update_task_token())
            token = context.context_object_data["Task"]["Token"]
        try:
            return original(self, env)
        finally:
            if token and (endpoint := pool.get(token)):
                endpoint.report(CallbackConsumerTimeout())

    StateTaskServiceCallback._evaluate_with_timeout = evaluate_with_timeout


def _name_heartbeat_timeouts() -> None:
    """https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html"""
    from localstack.services.stepfunctions.asl.component.common.error_name.states_error_name import StatesErrorName
    from localstack.services.stepfunctions.asl.component.common.error_name.states_error_name_type import (
        StatesErrorNameType,
    )
    from localstack.services.stepfunctions.asl.component.state.state_execution.state_task.service.state_task_service_callback import (  # noqa: E501
        StateTaskServiceCallback,
    )
    from localstack.services.stepfunctions.asl.eval.callback.callback import HeartbeatTimeoutError

    original = StateTaskServiceCallback._from_error
    name = StatesErrorNameType.StatesHeartbeatTimeout

    @wraps(original)
    def from_error(self: Any, env: Any, ex: Exception) -> Any:
        event: Any = original(self, env, ex)
        if isinstance(ex, HeartbeatTimeoutError):
            event.error_name = StatesErrorName(typ=name)
            event.event_details["taskTimedOutEventDetails"]["error"] = name.to_name()
        return event

    StateTaskServiceCallback._from_error = from_error


def _begin_executions_whole() -> None:
    from localstack.services.stepfunctions.backend.execution_worker import ExecutionWorker

    worker: Any = ExecutionWorker
    begin, make = worker.__init__, worker._get_evaluation_environment

    @wraps(begin)
    def begin_whole(self: Any, *args: Any, **kwargs: Any) -> None:
        begin(self, *args, **kwargs)
        self.env = make(self)

    worker.__init__ = begin_whole
    worker._get_evaluation_environment = lambda self: self.env


def _end_waiting_executions() -> None:
    from localstack.services.stepfunctions.asl.eval.environment import Environment
    from localstack.services.stepfunctions.backend.execution_worker import ExecutionWorker

    original = ExecutionWorker.stop

    @wraps(original)
    def stop(self: Any, **kwargs: Any) -> None:
        original(self, **kwargs)
        for endpoint in list(self.env.callback_pool_manager._pool.values()):
            endpoint.interrupt_all()

    def unless_ended(set_state: Any) -> Any:
        @wraps(set_state)
        def set_state_while_running(self: Any, *args: Any, **kwargs: Any) -> None:
            if self.is_running():
                set_state(self, *args, **kwargs)

        return set_state_while_running

    worker: Any = ExecutionWorker
    worker.stop = stop
    # The interrupted wait reports a timeout, which must not overwrite "stopped".
    Environment.set_error = unless_ended(Environment.set_error)
    Environment.set_timed_out = unless_ended(Environment.set_timed_out)


def _pass_user_data_as_given() -> None:
    from localstack.services.stepfunctions.asl.component.state.state_execution.state_task.service.state_task_service_aws_sdk import (  # noqa: E501
        StateTaskServiceAwsSdk,
    )

    original = StateTaskServiceAwsSdk._eval_service_task

    @wraps(original)
    def eval_service_task(
        self: Any, env: Any, resource_runtime_part: Any, normalised_parameters: Any, state_credentials: Any
    ) -> Any:
        encoded = normalised_parameters.get("UserData")
        if encoded and self._get_boto_service_action() == "run_instances":
            try:
                normalised_parameters["UserData"] = base64.b64decode(
                    encoded, validate=True
                )  # botocore encodes it again
            except binascii.Error as error:
                raise ValueError("Invalid BASE64 encoding of user data") from error
        return original(self, env, resource_runtime_part, normalised_parameters, state_credentials)

    StateTaskServiceAwsSdk._eval_service_task = eval_service_task


def _page_histories() -> None:
    from localstack.aws.skeleton import ServiceRequestDispatcher
    from localstack.services.stepfunctions.asl.eval.event.event_manager import EventManager

    dispatcher: Any = ServiceRequestDispatcher
    original = dispatcher.__call__

    @wraps(original)
    def call(self: Any, context: Any, request: Any) -> Any:
        answer = original(self, context, request)
        if self.operation != "GetExecutionHistory":
            return answer
        events, following = page(
            answer["events"], size=request.get("maxResults") or HISTORY_PAGE, token=request.get("nextToken")
        )
        return {"events": events, **({"nextToken": following} if following else {})}

    def shallow(self: Any) -> list[Any]:
        """A shallow copy suffices: an event does not change once it is in the list."""
        with self._mutex:
            return list(self._history_event_list)

    dispatcher.__call__ = call  # patching the provider's method has no effect: its table of operations exists already
    manager: Any = EventManager
    manager.get_event_history = shallow


def page(events: list[dict[str, Any]], *, size: int, token: str | None) -> tuple[list[dict[str, Any]], str | None]:
    """One page of a history in the requested order, and the token of the next: the id of the last event in this one.

    https://docs.aws.amazon.com/step-functions/latest/apireference/API_GetExecutionHistory.html
    """
    ids = [str(event["id"]) for event in events]
    first = 0 if token is None else ids.index(token) + 1
    following = first + size
    return events[first:following], ids[following - 1] if following < len(events) else None


def _evaluate_jsonata_in_python() -> None:
    from jsonata import Jsonata
    from localstack.services.stepfunctions.asl.component.intrinsic import jsonata as functions
    from localstack.services.stepfunctions.asl.eval import states, variable_store
    from localstack.services.stepfunctions.asl.jsonata import jsonata

    def evaluate(expression: str) -> object:
        try:
            parsed = Jsonata(expression)
            for name, function in FUNCTIONS.items():
                parsed.register_lambda(name, function)
            return parsed.evaluate(None)
        except Exception as error:
            raise jsonata.JSONataException("UNKNOWN", str(error)) from error

    jsonata._eval_jsonata = evaluate
    for name in FUNCTIONS:
        functions._DECLARATION_BY_VARIABLE_REFERENCE.pop(f"${name}", None)
    states.encode_jsonata_variable_declarations = declarations
    variable_store.encode_jsonata_variable_declarations = declarations


def declarations(bindings: dict[str, Any]) -> str:
    """Variables as assignments in JSONata, which takes JSON; LocalStack does not escape texts."""
    return "".join(f"{name}:={json.dumps(value, default=str)};" for name, value in bindings.items())


def _hash(value: Any, algorithm: str) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return hashlib.new(algorithm.replace("-", "").lower(), text.encode()).hexdigest()


HISTORY_PAGE = 100
"""Default number of events per page of a history."""

# https://docs.aws.amazon.com/step-functions/latest/dg/transforming-data.html#jsonata-functions-provided-by-sfn
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "hash": _hash,
    "parse": json.loads,
    "uuid": lambda: str(uuid.uuid4()),
}
"""What Step Functions adds to JSONata, and LocalStack lacks or evaluates as an expression."""
