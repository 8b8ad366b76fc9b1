"""A state machine's side of a job, in memory: tokens, waiting tasks and their results."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError, EndpointConnectionError

from petpark.worker.attempt import Attempt
from petpark.worker.tokens import Tokens
from registry.layout.jobs import boot_token_key, job_order_key, run_token_key
from registry.store.memory_store import MemoryStore

JOB, ATTEMPT = "train-0123456789abcdef", "train-0123456789abcdef.1"
REQUESTER = "arn:aws:sts::123456789012:assumed-role/publisher/ana"


def order(purpose: str = "train", /, *, job: str = JOB, max_seconds: Any = 3600, **inputs: Any) -> dict[str, Any]:
    """An order as the state machine writes it."""
    return {
        "schema": "petpark.order/1",
        "job": job,
        "purpose": purpose,
        "requested_by": REQUESTER,
        "pipeline": None,
        "max_seconds": max_seconds,
        "inputs": inputs,
    }


@dataclass
class Machine:
    """Steps of `Boot` and `Run`; the `client` side raises and forgets as Step Functions does.

    `faults` are taken one a call: `lost` does what was asked and loses the answer, `down` does nothing, and `denied`
    says that the role may not.
    """

    store: MemoryStore = field(default_factory=MemoryStore)
    waited_for: set[str] = field(default_factory=set[str])
    answers: list[tuple[str, str, Any]] = field(default_factory=list[tuple[str, str, Any]])
    logged: list[str] = field(default_factory=list[str])
    beats: int = 0
    faults: list[str] = field(default_factory=list[str])
    continues: bool = True  # on to `Run` once the boot was answered
    at: float = 0.0
    seconds: float = 0.0
    """How long the attempt may work; 0: not limited."""

    def begin(self, order: dict[str, Any] | None) -> "Machine":
        """As far as the state `Boot`."""
        if order is not None:
            self.store.create(job_order_key(JOB), json.dumps(order).encode())
        self._store_token(boot_token_key(JOB, ATTEMPT), "boot")
        return self

    def _store_token(self, key: str, token: str) -> None:
        self.waited_for.add(token)
        seconds = {"seconds": self.seconds} if token == "run" and self.seconds else {}
        self.store.create(key, json.dumps({"token": token, **seconds}).encode())

    def send_task_success(self, *, output: str, **named: str) -> None:
        self._call(named["taskToken"], "success", json.loads(output), ends=True)

    def send_task_failure(self, *, error: str, cause: str, **named: str) -> None:
        self._call(named["taskToken"], error, cause, ends=True)

    def send_task_heartbeat(self, **named: str) -> None:
        self.beats += 1
        self._call(named["taskToken"], "beat", None, ends=False)

    def _call(self, token: str, what: str, detail: Any, *, ends: bool) -> None:
        fault = self.faults.pop(0) if self.faults else ""
        if fault == "down":
            raise EndpointConnectionError(endpoint_url="states")
        if fault == "denied":
            raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "SendTask")
        if token not in self.waited_for:
            raise ClientError({"Error": {"Code": "TaskTimedOut", "Message": "no"}}, "SendTask")
        if ends:
            self.waited_for.remove(token)
            self.answers.append((token, what, detail))
            if (token, what) == ("boot", "success") and self.continues:
                self._store_token(run_token_key(JOB, ATTEMPT), "run")
        if fault == "lost":
            raise EndpointConnectionError(endpoint_url="states")

    def attempt(self, *, interruption: Callable[[], str | None] = lambda: None, heartbeat: float = 0.05) -> Attempt:
        """A worker's environment; its clock advances by its waits."""

        def pause(seconds: float) -> None:
            self.at += seconds

        return Attempt(
            job=JOB,
            name=ATTEMPT,
            instance="i-1",
            workspace=self.store,
            tokens=Tokens(self),  # pyright: ignore[reportArgumentType]
            heartbeat_seconds=heartbeat,
            interruption=interruption,
            report=lambda event, _facts: self.logged.append(event),
            pause=pause,
            clock=lambda: self.at,
        )
