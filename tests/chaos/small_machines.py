"""The small machines of a run: the worker's own attempts and purposes, in threads instead of processes.

What a thread does is what `python -m petpark.worker` does; the instance is real for EC2, and empty. A thread dies as a
process would: at its next request, without a word. Endpoints are stand-ins that follow the registry's channels.
"""

import hashlib
import json
import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self, override

from petpark.worker.attempt import Attempt, Stop, run_attempt
from petpark.worker.endings import Ending, of_error, of_result
from petpark.worker.order import Order
from petpark.worker.purposes import dispatch
from petpark.worker.tokens import Answer, Tokens
from registry.layout.jobs import ATTEMPT_TAG, JOB_TAG
from registry.store.object_store import ObjectStore
from registry.store.s3_store import S3Store
from tests.chaos.plan import Moment, Stage
from tests.chaos.site import Site
from training.job import JobResult, find_result, store_result

type Do = Callable[[Order, ObjectStore], JobResult]
"""Does a training's work, and gives its result, which is not stored yet."""

type Ask = Callable[[Stage, Moment], str]
"""What happens to a stage at a moment: "", `dies` or why its machine goes."""

DIES = "dies"


class Died(BaseException):
    """Ends a thread as SIGKILL ends a process: nothing after it is sent."""


class MortalTokens(Tokens):
    """Answers unless the machine is dead, or dies of it."""

    def __init__(self, client: Any, before: Callable[[], None]) -> None:
        super().__init__(client)
        self._before = before

    @override
    def succeed(self, token: str, output: Mapping[str, object]) -> Answer:
        if "result" in output:
            self._before()
        return super().succeed(token, output)


class MortalStore(S3Store):
    """A workspace whose writer may die before it stores a result."""

    before: Callable[[], None]

    @override
    def create(self, key: str, body: bytes) -> None:
        if key.endswith("/result.json"):
            self.before()
        super().create(key, body)


@dataclass(eq=False)
class SmallMachines(threading.Thread):
    """Does every job of the run's site that is none of a training, one thread each. A context manager."""

    site: Site
    heartbeat: float
    ask: Ask
    train: Do | None = None
    """What trains instead of an instance's processes; None: they do."""
    problems: list[BaseException] = field(default_factory=list[BaseException])
    """Of the watching; a worker's own are answered."""

    def __post_init__(self) -> None:
        super().__init__(name=f"small-{self.site.name}", daemon=True)
        self._stopping = threading.Event()
        self._seen = set[str]()

    def __enter__(self) -> Self:
        """Begin."""
        self.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        """Stop to look for jobs."""
        self._stopping.set()
        self.join(30)

    @override
    def run(self) -> None:
        ec2 = self.site.client("ec2")
        wanted = [
            {"Name": "tag:petpark:stack", "Values": [self.site.name]},
            {"Name": "instance-state-name", "Values": ["pending", "running"]},
        ]
        try:
            while not self._stopping.wait(0.5):
                found = ec2.describe_instances(Filters=wanted)["Reservations"]
                for instance in (one for reservation in found for one in reservation["Instances"]):
                    self._boot(instance)
        except Exception as problem:
            self.problems.append(problem)

    def _boot(self, instance: Mapping[str, Any]) -> None:
        tags = {tag["Key"]: tag["Value"] for tag in instance["Tags"]}
        stage = _stage(tags[JOB_TAG])
        if (stage is None and self.train is None) or instance["InstanceId"] in self._seen:
            return
        self._seen.add(instance["InstanceId"])
        arguments = (instance["InstanceId"], tags[JOB_TAG], tags[ATTEMPT_TAG], stage)
        threading.Thread(target=self._run_attempt, args=arguments, name=tags[ATTEMPT_TAG], daemon=True).start()

    def _run_attempt(self, instance: str, job: str, name: str, stage: Stage | None) -> None:
        workspace = MortalStore(self.site.client("s3"), self.site.workspace)

        def die(moment: Moment) -> None:
            if stage is not None and self.ask(stage, moment) == DIES:
                raise Died

        workspace.before = lambda: die(Moment.RESULT)

        def interruption() -> str | None:
            return None if stage is None else self.ask(stage, Moment.BOOT) or None

        def work(order: Order, stop: Stop) -> Ending:
            if (ended := find_result(workspace, order.job)) is not None:
                return of_result(ended)
            try:
                if stage is None and self.train is not None:
                    return of_result(store_result(workspace, self.train(order, workspace)))
                return dispatch.perform(
                    order, workspace, stop=stop, stack="test", targets=lambda stack: self.site.target(stack=stack)
                )
            except Exception as error:
                return of_error(order.job, error)

        attempt = Attempt(
            job=job,
            name=name,
            instance=instance,
            workspace=workspace,
            tokens=MortalTokens(self.site.client("stepfunctions"), lambda: die(Moment.ANSWER)),
            heartbeat_seconds=self.heartbeat,
            interruption=interruption,
            report=lambda _event, _facts: None,
        )
        try:
            run_attempt(attempt, work)
        except Died:
            return
        except Exception as problem:
            self.problems.append(problem)


def _stage(job: str) -> Stage | None:
    purpose = job.rpartition("-")[0]
    return Stage(purpose) if purpose in set(Stage) else None


@contextmanager
def endpoints(follow: Callable[[str], Mapping[str, Any] | None], truth: Mapping[str, str]) -> Generator[str]:
    """Stand-ins for the endpoints of both stacks, below one URL: `/test` and `/prod`.

    `follow` gives what a channel's endpoint says of its model, None if there is none; each photo is classified by
    `truth`, which has labels by SHA-256.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            model = follow(self.path.split("/")[1])
            self._say(503 if model is None else 200, {} if model is None else model)

        def do_POST(self) -> None:
            photo = self.rfile.read(int(self.headers["content-length"]))
            self._say(200, {"label": truth[hashlib.sha256(photo).hexdigest()]})

        def _say(self, status: int, body: Mapping[str, Any]) -> None:
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        @override
        def log_message(self, format: str, *args: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
