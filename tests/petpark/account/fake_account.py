"""An AWS account by moto, with responses that moto lacks, and faults that a test injects."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, override

import boto3
import yaml
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import EndpointConnectionError

from infra.configuration.instance_types import instance_type
from petpark.account.demand import LOAD_BALANCERS, VPCS

ROOT = Path(__file__).resolve().parents[3]
ACCOUNT = "123456789012"
REGION = "eu-west-1"

ENOUGH = {
    VPCS.code: 5.0,
    LOAD_BALANCERS.code: 50.0,
    "L-1216C47A": 64.0,  # standard, on demand
    "L-DB2E81BA": 64.0,  # G, on demand
    "L-3819A6DF": 64.0,  # G, spot
}

type Answer = Callable[[Mapping[str, Any]], dict[str, Any]]


class Refusal(Exception):
    """What a fake answers instead of a body: an error code of AWS."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class OneClientEach(boto3.Session):
    """A session that makes each client once, because that takes longer than all that a test then does with it."""

    def __init__(self) -> None:
        super().__init__()
        self._made: dict[tuple[str, str], Any] = {}

    @override
    def client(self, service_name: str, *, region_name: str, **options: Any) -> Any:  # pyright: ignore
        if (service_name, region_name) not in self._made:
            make: Any = super().client
            self._made[service_name, region_name] = make(service_name, region_name=region_name, **options)
        return self._made[service_name, region_name]


@dataclass
class FakeAccount:
    """`quotas` are limits by code. `called` are the called operations, as `service.Operation`."""

    session: OneClientEach = field(default_factory=OneClientEach)
    quotas: dict[str, float] = field(default_factory=dict[str, float])
    parameters: dict[str, str] = field(default_factory=dict[str, str])
    may_link: bool = True
    called: set[str] = field(default_factory=set[str])
    _answers: dict[str, Answer] = field(default_factory=dict[str, Answer])
    _hidden: dict[str, str] = field(default_factory=dict[str, str])

    def __post_init__(self) -> None:
        self.session.events.register("provide-client-params", self._remember)
        hook: Any = self._answer  # botocore takes what a handler returns for the answer; its types do not say so
        self.session.events.register("before-call", hook)
        self.reset()

    def reset(self) -> None:
        """Be as at first: no fault, enough of everything, nothing called."""
        self.called.clear()
        self._hidden.clear()
        self.may_link = True
        self.quotas = dict(ENOUGH)
        self.parameters = {
            instance_type(name).image_parameter: "ami-1" for name in ("g5.xlarge", "g6.xlarge", "c7i.large")
        }
        self._answers = {
            "service-quotas.GetServiceQuota": self._quota,
            "ssm.GetParameters": self._parameters,
            "iam.SimulatePrincipalPolicy": self._simulation,
        }

    def client(self, service: str) -> Any:
        """The test's own client, whose calls are not in `called`."""
        make: Any = boto3.client
        return make(service, region_name=REGION)

    def answers(self, operation: str, body: Mapping[str, Any]) -> None:
        """Let `service.Operation` answer with `body`."""
        self._answers[operation] = lambda _: dict(body)

    def refuses(self, operation: str, code: str = "AccessDeniedException") -> None:
        """Let `service.Operation` answer with an error."""

        def refuse(_: Mapping[str, Any]) -> dict[str, Any]:
            raise Refusal(code)

        self._answers[operation] = refuse

    def hides(self, operation: str, name: str) -> None:
        """Let `service.Operation` refuse the resource whose `name` is in the request's address, and no other."""
        self._hidden[operation] = name

    def is_silent(self, operation: str) -> None:
        """Make `service.Operation` unreachable."""

        def fail(_: Mapping[str, Any]) -> dict[str, Any]:
            raise EndpointConnectionError(endpoint_url="https://nobody.example")

        self._answers[operation] = fail

    def _remember(self, model: Any, **_: Any) -> None:
        operation = f"{model.service_model.service_name}.{model.name}"
        self.called.add(operation)

    def _answer(self, model: Any, params: Mapping[str, Any], **_: Any) -> tuple[AWSResponse, dict[str, Any]] | None:
        operation = f"{model.service_model.service_name}.{model.name}"
        answer = self._answers.get(operation)
        hidden = self._hidden.get(operation)
        if hidden is not None and hidden in str(params["url"]):
            return _refusal("AccessDenied")
        if answer is None:
            return None
        try:
            return _response(200), answer(_asked(params))
        except Refusal as refused:
            return _refusal(refused.code)

    def _quota(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        code = str(asked["QuotaCode"])
        if code not in self.quotas:
            raise Refusal("NoSuchResourceException")
        return {"Quota": {"QuotaCode": code, "Value": self.quotas[code]}}

    def _parameters(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        found = {name: self.parameters.get(name) for name in asked["Names"]}
        return {
            "Parameters": [{"Name": name, "Value": value} for name, value in found.items() if value],
            "InvalidParameters": [name for name, value in found.items() if not value],
        }

    def _simulation(self, _: Mapping[str, Any]) -> dict[str, Any]:
        return {"EvaluationResults": [{"EvalDecision": "allowed" if self.may_link else "implicitDeny"}]}


def _asked(params: Mapping[str, Any]) -> Mapping[str, Any]:
    """The arguments of a call in a JSON protocol, out of the request that botocore made of them."""
    body = params.get("body") or b"{}"
    try:
        return json.loads(body)
    except (TypeError, ValueError):
        return {}


def _refusal(code: str) -> tuple[AWSResponse, dict[str, Any]]:
    body = {"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": 400}}
    return _response(400), body


def _response(status: int) -> AWSResponse:
    return AWSResponse("https://aws.example", status, HTTPHeaders(), None)


def settings(root: Path, stack: str, **changes: Any) -> Path:
    """Put the stack's shipped YAML below `root`, with `changes` of petpark's own keys; returns `root`."""
    path = root / f"Pulumi.{stack}.yaml"
    shipped = yaml.safe_load((ROOT / path.name).read_text())
    changes = {"allow_keys_over_http": True, **changes}
    shipped["config"] |= {f"petpark:{key}": value for key, value in changes.items()}
    path.write_text(yaml.safe_dump(shipped))
    return root
