"""Credentials of an instance's role, as EC2 gets them: from STS, kept, and renewed before they expire."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from rehearsal.instances.cloud import Cloud

RENEW_BEFORE = timedelta(minutes=20)  # botocore asks again 15 minutes before the end


@dataclass(frozen=True, kw_only=True)
class RoleSession:
    """A role and its credentials, in the metadata service's format."""

    role: str
    document: Mapping[str, str]
    expires: datetime


class RoleCredentials:
    """Current credentials of the role in an instance profile. Thread-safe."""

    def __init__(self, cloud: Cloud, profile_arn: str, session_name: str) -> None:
        self._iam: Any = cloud.client("iam")
        self._sts: Any = cloud.client("sts")
        self._profile = profile_arn.rpartition("/")[2]
        self._session_name = session_name
        self._lock = threading.Lock()
        self._session: RoleSession | None = None

    def current(self) -> RoleSession | None:
        """Credentials that last a while yet, or None if the profile has no role."""
        with self._lock:
            if self._session is None or self._session.expires - datetime.now(UTC) < RENEW_BEFORE:
                self._session = self._assume()
            return self._session

    def _assume(self) -> RoleSession | None:
        roles = self._iam.get_instance_profile(InstanceProfileName=self._profile)["InstanceProfile"]["Roles"]
        if not roles:
            return None
        answer = self._sts.assume_role(RoleArn=roles[0]["Arn"], RoleSessionName=self._session_name)
        credentials = answer["Credentials"]
        expires = credentials["Expiration"]
        document = {
            "Code": "Success",
            "LastUpdated": stamp(datetime.now(UTC)),
            "Type": "AWS-HMAC",
            "AccessKeyId": credentials["AccessKeyId"],
            "SecretAccessKey": credentials["SecretAccessKey"],
            "Token": credentials["SessionToken"],
            "Expiration": stamp(expires),
        }
        return RoleSession(role=roles[0]["RoleName"], document=document, expires=expires)


def stamp(moment: datetime) -> str:
    """A time as the metadata service writes it: UTC, to the second."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
