"""A request, as far as permissions are concerned."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from petpark_emulator.access.policy import Request


@dataclass(frozen=True, kw_only=True)
class ApiCall:
    """A parsed request. `values` has only members that were given."""

    service: str
    operation: str
    values: Mapping[str, Any]
    account: str
    region: str

    def arn(self, resource: str, *, service: str | None = None) -> str:
        """The ARN of a resource in the request's account and region."""
        return f"arn:aws:{service or self.service}:{self.region}:{self.account}:{resource}"

    def request(
        self, resource: str | None, *, action: str | None = None, context: Mapping[str, str] | None = None
    ) -> Request:
        """A request about this request's action, or another of its service."""
        return Request(action=f"{self.service}:{action or self.operation}", resource=resource, context=context or {})

    def key_arn(self, identifier: str) -> str:
        """The ARN of a KMS key given by id, ARN, alias or alias ARN."""
        from localstack.services.kms.models import kms_stores

        if ":key/" in identifier:
            return identifier  # perhaps another account's
        name = identifier.rpartition(":")[2]
        if name.startswith("alias/"):
            alias = kms_stores[self.account][self.region].aliases.get(name)
            name = f"key/{alias.metadata['TargetKeyId']}" if alias else name
        elif not name.startswith("key/"):
            name = f"key/{name}"
        return self.arn(name, service="kms")
