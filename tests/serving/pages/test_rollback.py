"""A channel is moved from an endpoint by the operator's own right, or not at all."""

import json
from types import SimpleNamespace

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from starlette.requests import Request

from registry.certificates.certificate import Certificates
from registry.channel_policy import STRICT
from registry.channels.promotion import PromotionService
from serving.auth.key_record import KeyScope
from serving.pages import rollback
from serving.pages.rollback import Credentials, PromoterSessions, confidential
from serving.problems import FORBIDDEN, UPSTREAM, Problem
from tests.registry.memory_keys import MemoryVerifier

OTTO = "arn:aws:sts::123456789012:assumed-role/promoter/otto"
SECRETS = {"access_key_id": "AKIA7", "secret_access_key": "shh-secret", "session_token": "shh-token"}
ASKED = {"expected": 2, "why": "barks at cats", "credentials": SECRETS}


class Operator:
    """An endpoint at version 2, and somebody who has an admin key and credentials."""

    def __init__(self, park, open_endpoint, parameters):
        self.park, self.shown = park, []
        park.release(park.certified())
        park.release(park.certified(sharpness=2.0))
        self.endpoint = open_endpoint(parameters=parameters, open_promotion_service=self.open_promotion_service)
        self.key = parameters.create("otto", scopes=(KeyScope.ADMIN,), burst=100)
        self.endpoint.ring.refresh()
        self.endpoint.follow()

    def open_promotion_service(self, credentials: Credentials):
        self.shown.append(credentials)
        if credentials.access_key_id != "AKIA7":
            raise Problem(FORBIDDEN, "AWS does not let these credentials act as the promoter (AccessDenied).")
        verifier = MemoryVerifier(self.park.signer)
        certificates = Certificates(self.park.store, "pets", clock=lambda: self.park.now)
        desk = PromotionService(
            catalog=self.park.catalog,
            channel=self.park.channel,
            certificates=certificates,
            policy=STRICT,
            verifier=verifier,
        )
        return desk, OTTO

    def ask(self, headers=None, **changes):
        shown = {"authorization": f"Bearer {self.key}"} if headers is None else headers
        return self.endpoint.http.post("/v1/roll-back", content=json.dumps(ASKED | changes), headers=shown)

    @property
    def head(self):
        return self.park.channel.head()


@pytest.fixture
def operator(park, open_endpoint, parameters) -> Operator:
    return Operator(park, open_endpoint, parameters)


def test_the_channel_moves_under_the_operators_name_and_the_page_reads_it_anew(operator):
    before = operator.endpoint.http.get("/v1/registry").json()
    assert (before["before"], before["roll_back"]) == (1, {"possible": True, "confidential": True})
    answer = operator.ask()
    assert answer.status_code == 200
    assert (answer.json()["version"], answer.json()["by"], answer.json()["why"]) == (1, OTTO, "barks at cats")
    assert operator.head.restores == 1
    after = operator.endpoint.http.get("/v1/registry").json()
    assert [move["number"] for move in after["channels"][0]["moves"]] == [3, 2, 1]
    assert "shh" not in repr(operator.shown)
    assert "shh" not in answer.text


@pytest.mark.parametrize(
    ("headers", "status"),
    [({}, 401), ({"authorization": "Bearer pp_wrong"}, 401), ({"x-forwarded-proto": "http"}, 401)],
)
def test_it_takes_a_key_even_where_classifying_does_not(operator, headers, status):
    assert operator.ask(headers).status_code == status
    assert operator.head.number == 2
    assert operator.shown == []


def test_a_key_without_the_scope_admin_moves_nothing(operator, parameters):
    key = parameters.create("camera")
    operator.endpoint.ring.refresh()
    assert operator.ask({"authorization": f"Bearer {key}"}).status_code == 403
    assert operator.head.number == 2


@pytest.mark.parametrize(("proto", "status"), [("http", 403), ("HTTPS", 200), ("https, http", 403)])
def test_credentials_come_over_tls_or_from_this_machine(operator, proto, status):
    answer = operator.ask({"authorization": f"Bearer {operator.key}", "x-forwarded-proto": proto})
    assert answer.status_code == status
    assert operator.head.number == (3 if status == 200 else 2)


@pytest.mark.parametrize("behind", [True, False])
@pytest.mark.parametrize("expected", [(), ("https",), ("http",), ("https", "http"), ("HTTPS ",), ("",)])
@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "203.0.113.7", ""])
def test_only_a_load_balancer_is_believed_that_the_way_was_secret(behind, expected, host):
    headers = [(b"x-forwarded-proto", value.encode()) for value in expected]
    request = Request({"type": "http", "headers": headers, "client": (host, 1) if host else None})
    all_say_tls = all(value.strip().lower() == "https" for value in expected)
    here = host in {"127.0.0.1", "::1"}
    secret = (behind and bool(expected) and all_say_tls) or (here and all_say_tls)
    assert confidential(request, behind_load_balancer=behind) is secret


def test_a_decision_about_another_entry_than_the_last_moves_nothing(operator):
    answer = operator.ask(expected=1)
    assert answer.status_code == 409
    assert "channel prod at entry 1" in answer.json()["detail"]
    assert operator.head.number == 2


def test_a_version_whose_certificate_was_revoked_is_not_gone_back_to(operator):
    operator.park.revoke(1)
    answer = operator.ask()
    assert answer.status_code == 409
    assert "valid certificate" in answer.json()["detail"]
    assert operator.head.number == 2


def test_credentials_that_aws_refuses_move_nothing(operator):
    answer = operator.ask(credentials=SECRETS | {"access_key_id": "AKIA8"})
    assert (answer.status_code, operator.head.number) == (403, 2)


@pytest.mark.parametrize(
    "changes",
    [
        {"expected": 0},
        {"expected": True},
        {"why": "  "},
        {"why": "x" * 501},
        {"to": "1"},
        {"credentials": {}},
        {"credentials": [SECRETS]},
        {"credentials": SECRETS | {"secret_access_key": 7}},
        {"credentials": SECRETS | {"secret_access_key": " "}},
        {"credentials": SECRETS | {"secret_access_key": "shh\u2028"}},
        {"credentials": SECRETS | {"session_token": "shh-token\r\nX: y"}},
        {"expected": 2.0},
        {"to": 10**4000, "why": ""},
    ],
)
def test_what_is_no_roll_back_is_refused_without_repeating_it(operator, changes):
    answer = operator.ask(**changes)
    assert answer.status_code == 422
    assert "shh" not in answer.text
    assert operator.shown == []


def test_an_endpoint_that_knows_no_promoters_role_says_so(park, open_endpoint, parameters):
    park.release(park.certified())
    endpoint = open_endpoint(parameters=parameters)
    key = parameters.create("otto", scopes=(KeyScope.ADMIN,))
    endpoint.ring.refresh()
    answer = endpoint.http.post("/v1/roll-back", json=ASKED, headers={"authorization": f"Bearer {key}"})
    assert answer.status_code == 404
    assert "petpark rollback" in answer.json()["detail"]


REAL_SESSION = boto3.Session


class Sts:
    """What STS answers, and what it was asked."""

    def __init__(self) -> None:
        self.sessions: list[dict[str, str | None]] = []
        self.clients: list[str] = []
        self.assumed: dict[str, object] = {}
        self.error: Exception | None = None

    def session(self, **credentials):
        self.sessions.append(credentials)
        return SimpleNamespace(client=self.client)

    def client(self, name, config):
        self.clients.append(name)
        assert (config.connect_timeout, config.read_timeout) == (5, 10)
        if name == "sts":
            return SimpleNamespace(get_caller_identity=self.get_caller_identity, assume_role=self.assume_role)
        session = REAL_SESSION(aws_access_key_id="x", aws_secret_access_key="x", region_name="eu-west-1")
        return session.client(name, config=config)

    def get_caller_identity(self):
        if self.error:
            raise self.error
        return {"Arn": "arn:aws:iam::123456789012:user/otto"}

    def assume_role(self, **request):
        self.assumed = request
        taken = {"AccessKeyId": "ASIA1", "SecretAccessKey": "s1", "SessionToken": "t1"}
        return {"Credentials": taken, "AssumedRoleUser": {"Arn": OTTO}}


@pytest.fixture
def sts(monkeypatch) -> Sts:
    sts = Sts()
    monkeypatch.setattr(rollback.boto3, "Session", sts.session)
    return sts


def sessions() -> PromoterSessions:
    settings = SimpleNamespace(model_store="store", model="pets", channel="prod", rule=STRICT)
    return PromoterSessions(settings, role="arn:role", signing_key="arn:key", memory=None)  # pyright: ignore[reportArgumentType]


def test_the_promoters_role_is_taken_with_the_operators_credentials_and_used_with_its_own(sts):
    desk, by = sessions()(Credentials(access_key_id="AKIA7", secret_access_key="s", session_token=""))
    assert by == OTTO
    assert sts.sessions == [
        {"aws_access_key_id": "AKIA7", "aws_secret_access_key": "s", "aws_session_token": None},
        {"aws_access_key_id": "ASIA1", "aws_secret_access_key": "s1", "aws_session_token": "t1"},
    ]
    assert sts.clients == ["sts", "s3", "kms"]
    assert sts.assumed == {"RoleArn": "arn:role", "RoleSessionName": "otto", "DurationSeconds": 900}
    assert (desk.catalog.model, desk.channel.model, desk.channel.name, desk.certificates.model) == (
        "pets", "pets", "prod", "pets",
    )  # fmt: skip
    assert desk.policy is STRICT


def test_what_aws_refuses_is_forbidden_with_its_code_and_what_it_does_not_answer_is_its_fault(sts):
    own = Credentials(access_key_id="AKIA7", secret_access_key="s", session_token="t")
    expired = ClientError({"Error": {"Code": "ExpiredToken"}}, "GetCallerIdentity")
    unnamed = ClientError({"Error": {"Message": "no"}}, "GetCallerIdentity")
    for sts.error, code in ((expired, "ExpiredToken"), (unnamed, "refused")):
        with pytest.raises(Problem) as refused:
            sessions()(own)
        assert refused.value.kind is FORBIDDEN
        assert f"({code})" in refused.value.detail
    sts.error = EndpointConnectionError(endpoint_url="https://sts.example")
    with pytest.raises(Problem) as refused:
        sessions()(own)
    assert refused.value.kind is UPSTREAM
    assert "(EndpointConnectionError)" in refused.value.detail
    assert len(sts.sessions) == 3
