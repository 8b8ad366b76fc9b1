"""What a command acts on: one stack and clients for it, made by one of `PROVIDERS`."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from petpark.errors import StackOutdated
from petpark.targets import pulumi_cli
from petpark.targets.stacks import StackOutputs, parse

if TYPE_CHECKING:
    import boto3
    from mypy_boto3_sts import STSClient

    from registry.certificates.certificate import Signer, Verifier
    from registry.logs.chain_memory import ChainMemory
    from registry.store.object_store import PrunableStore
    from registry.store.transfer import Transfer

type AddressOf = Callable[[str, str], str]
"""Instance id and private address -> the address at which it is reached from here."""

USUAL_RECIPE: Final = "transfer"
"""For real photos, on whatever machine."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """One stack of one place: its outputs, and clients that act there with timeouts and retries.

    `endpoint_urls` are the endpoints of all stacks as they are reached from here; `aws_url` is where AWS's services
    answer, None for AWS itself; `address_of` returns how an instance is reached. `recipe` is the default training
    recipe: `training.hyper_parameters.RECIPES`. A `role` (a key of
    `outputs.roles`) makes a client act as that operator role, assumed by STS, so that least privilege holds for
    people too, for as long as a command takes (`petpark.targets.role_session`). It is assumed by the user
    that `role_sessions` name for it, else by `session`, whose own permissions also serve what needs no role.
    """

    kind: str
    stacks: tuple[str, ...]
    outputs: StackOutputs
    endpoint_urls: Mapping[str, str]
    session: boto3.Session
    role_sessions: Mapping[str, boto3.Session] = field(default_factory=dict[str, "boto3.Session"])
    aws_url: str | None = None
    address_of: AddressOf = lambda _instance, private_address: private_address
    recipe: str = USUAL_RECIPE
    _assumed: dict[str, boto3.Session] = field(default_factory=dict[str, "boto3.Session"], repr=False, compare=False)
    _clients: dict[tuple[str, str | None], Any] = field(
        default_factory=dict[tuple[str, str | None], Any], repr=False, compare=False
    )

    def client(self, service: str, *, role: str | None = None) -> Any:
        """A boto3 client of `service`."""
        if (service, role) not in self._clients:
            from petpark.targets.role_session import client_of

            session = self.session if role is None else self._assume(role)
            self._clients[service, role] = client_of(session, service, self.aws_url)
        return self._clients[service, role]

    def store(self, bucket: str, *, role: str | None = None) -> PrunableStore:
        """A bucket as the registry sees it."""
        from registry.store.s3_store import S3Store

        return S3Store(self.client("s3", role=role), bucket, transfer=self._transfer(role), transfer_reads=True)

    def chains(self) -> ChainMemory:
        """Returns this machine's cache of the logs in the model store."""
        from registry.logs.chain_memory import ChainMemory

        return ChainMemory(machine_cache(), store=f"{self.aws_url or 'aws'}/{self.outputs.model_store}")

    def signer(self, *, role: str | None = None) -> Signer:
        """Who signs certificates: the stack's KMS key."""
        from registry.certificates.certificate import KmsSigner

        return KmsSigner(self.client("kms", role=role), self.outputs.signing_key)

    def verifier(self, *, role: str | None = None) -> Verifier:
        """Who checks them: the same key's public half."""
        from registry.certificates.certificate import KmsVerifier

        return KmsVerifier(self.client("kms", role=role), self.outputs.signing_key)

    def identity(self, *, role: str | None = None) -> str:
        """ARN of the caller, as STS reports it."""
        sts: STSClient = self.client("sts", role=role)
        return sts.get_caller_identity()["Arn"]

    def instance_url(self, instance_id: str, private_address: str, port: int) -> str:
        """Where one instance answers on `port`."""
        return f"http://{self.address_of(instance_id, private_address)}:{port}"

    def _transfer(self, role: str | None) -> Transfer | None:
        from registry.store.crt_transfer import crt_transfer

        if ("transfer", role) not in self._clients:
            session = self.session if role is None else self._assume(role)
            self._clients["transfer", role] = crt_transfer(session, self.client("s3", role=role))
        return self._clients["transfer", role]

    def _assume(self, role: str) -> boto3.Session:
        if role not in self._assumed:
            arn = self.outputs.roles.get(role)
            if arn is None:
                raise StackOutdated(
                    f"Stack {self.outputs.stack} has no role {role}.",
                    next_step=f"pulumi up --stack {self.outputs.stack}",
                )
            from petpark.targets.role_session import role_session

            self._assumed[role] = role_session(self.role_sessions.get(role, self.session), arn, self.aws_url)
        return self._assumed[role]


def machine_cache() -> Path:
    """Returns this user's cache folder of petpark: https://specifications.freedesktop.org/basedir-spec/latest/"""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "petpark"


PROVIDERS: Final[Mapping[str, str]] = {
    "aws": "petpark.targets.target:open_aws",
    "rehearsal": "rehearsal.target:open_rehearsal",
}
"""Value of `--target` -> the function that makes its `Target` of a stack's name; imported when it is used."""


def open_target(kind: str, stack: str) -> Target:
    """Return the target of this run."""
    module, _, function = PROVIDERS[kind].partition(":")
    return getattr(import_module(module), function)(stack)


def open_aws(stack: str) -> Target:
    """The account that the caller is signed in to; raises `PulumiMissing`, `StackNotDeployed` or `StackOutdated`."""
    root = pulumi_cli.project_root()
    outputs = parse(stack, pulumi_cli.outputs(stack, root))
    import boto3  # only now: the answers before need no library of AWS's

    return Target(
        kind="aws",
        stacks=pulumi_cli.stacks(root),
        outputs=outputs,
        endpoint_urls={stack: outputs.endpoint.url},
        session=boto3.Session(region_name=outputs.region),
    )
