import json
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from http import HTTPStatus

import httpx
import pytest

from rehearsal.instances.cloud import Instance
from rehearsal.instances.metadata import MetadataService

TTL = "X-aws-ec2-metadata-token-ttl-seconds"
TOKEN = "X-aws-ec2-metadata-token"
Serve = Callable[..., MetadataService]


@contextmanager
def client(service: MetadataService, *, token: bool = True) -> Generator[httpx.Client]:
    with httpx.Client(base_url=f"{service.url}/latest", trust_env=False, timeout=60) as http:
        if token:
            http.headers[TOKEN] = http.put("/api/token", headers={TTL: "60"}).raise_for_status().text
        yield http


@pytest.fixture
def service(serve_metadata: Serve, instance: Instance) -> MetadataService:
    return serve_metadata(instance)


def test_an_instance_that_requires_tokens_answers_nobody_without_one(
    service: MetadataService, instance: Instance
) -> None:
    with client(service, token=False) as http:
        assert http.get("/meta-data/instance-id").status_code == HTTPStatus.UNAUTHORIZED
        assert http.get("/meta-data/instance-id", headers={TOKEN: "made-up"}).status_code == HTTPStatus.UNAUTHORIZED
    with client(service) as http:
        assert http.get("/meta-data/instance-id").text == instance.id


def test_an_instance_that_does_not_require_tokens_answers_without(serve_metadata: Serve, instance: Instance) -> None:
    service = serve_metadata(replace(instance, tokens_required=False))
    with client(service, token=False) as http:
        assert http.get("/meta-data/instance-id").text == instance.id


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, HTTPStatus.BAD_REQUEST),
        ({TTL: "0"}, HTTPStatus.BAD_REQUEST),
        ({TTL: "21601"}, HTTPStatus.BAD_REQUEST),
        ({TTL: "60", "X-Forwarded-For": "10.0.0.1"}, HTTPStatus.FORBIDDEN),
        ({TTL: "60"}, HTTPStatus.OK),
    ],
)
def test_tokens_are_granted_as_on_aws(service: MetadataService, headers: dict[str, str], status: HTTPStatus) -> None:
    with client(service, token=False) as http:
        assert http.put("/api/token", headers=headers).status_code == status


def test_everything_that_petpark_asks_for_is_there(service: MetadataService, instance: Instance) -> None:
    expected = {
        "/meta-data/instance-type": instance.type,
        "/meta-data/local-ipv4": instance.private_ip,
        "/meta-data/instance-life-cycle": "on-demand",
        "/meta-data/placement/region": "eu-west-1",
        "/meta-data/placement/availability-zone": instance.zone,
        "/meta-data/placement/": "availability-zone\nregion",
        "/meta-data/tags/instance/petpark:job": "job-1",
        "/meta-data/iam/security-credentials/": "park",
        "/user-data": "#!/bin/sh\n",
    }
    with client(service) as http:
        assert {path: http.get(path).text for path in expected} == expected
        assert http.get("/dynamic/instance-identity/document").json()["instanceId"] == instance.id
        assert http.get("/meta-data/iam/info").json()["InstanceProfileArn"] == instance.profile_arn
        assert http.get("/meta-data/no-such-thing").status_code == HTTPStatus.NOT_FOUND


def test_tags_are_in_the_metadata_only_where_the_instance_allows_it_and_always_as_they_are_now(
    serve_metadata: Serve, instance: Instance
) -> None:
    shown = instance
    service = serve_metadata(instance, look=lambda: shown)
    with client(service) as http:
        shown = replace(instance, tags={"petpark:job": "job-2"})
        assert http.get("/meta-data/tags/instance/petpark:job").text == "job-2"
        shown = replace(instance, tags_in_metadata=False)
        assert http.get("/meta-data/tags/instance/petpark:job").status_code == HTTPStatus.NOT_FOUND


def test_a_spot_notice_appears_when_it_is_given(service: MetadataService) -> None:
    with client(service) as http:
        assert http.get("/meta-data/spot/instance-action").status_code == HTTPStatus.NOT_FOUND
        service.give_notice(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
        assert http.get("/meta-data/spot/instance-action").json() == {
            "action": "terminate",
            "time": "2026-01-02T03:04:05Z",
        }
        assert http.get("/meta-data/spot/termination-time").text == "2026-01-02T03:04:05Z"


def test_a_rebalance_recommendation_appears_in_the_metadata(service: MetadataService) -> None:
    with client(service) as http:
        assert http.get("/meta-data/events/recommendations/rebalance").status_code == HTTPStatus.NOT_FOUND
        service.recommend_rebalance(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
        assert http.get("/meta-data/events/recommendations/rebalance").json() == {"noticeTime": "2026-01-02T03:04:05Z"}


def test_an_instance_without_a_role_has_no_identity(serve_metadata: Serve, instance: Instance) -> None:
    service = serve_metadata(instance, credentials=lambda: None)
    with client(service) as http:
        assert http.get("/meta-data/iam/security-credentials/").status_code == HTTPStatus.NOT_FOUND


def test_boto3_finds_the_roles_credentials(service: MetadataService) -> None:
    ask = "import boto3, json; c = boto3.Session().get_credentials(); print(json.dumps([c.method, c.access_key]))"
    environment = {"AWS_EC2_METADATA_SERVICE_ENDPOINT": service.url, "HOME": "/nonexistent"}
    answer = subprocess.run(
        [sys.executable, "-c", ask], env=environment, check=True, capture_output=True, text=True, timeout=60
    )
    assert json.loads(answer.stdout) == ["iam-role", "AKIDPARK"]


def test_instances_of_equal_private_addresses_get_addresses_of_their_own(
    serve_metadata: Serve, instance: Instance
) -> None:
    services = [serve_metadata(replace(instance, id=f"i-{number}")) for number in range(3)]
    assert len({service.address for service in services}) == len(services)
    assert all(service.address.endswith(".5.9") for service in services)
