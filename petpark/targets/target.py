"""What a command acts on: an AWS account, or a rehearsal that was kept running. The commands cannot tell them apart."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from petpark.errors import RehearsalNotRunning, StackNotDeployed, StackOutdated
from petpark.targets import pulumi_cli
from petpark.targets.rehearsal_credentials import FILE, Person, chosen, players, read_people
from petpark.targets.stacks import StackOutputs, parse
from registry.layout import Role

if TYPE_CHECKING:
    import boto3
    from mypy_boto3_sts import STSClient

    from registry.certificates.certificate import Signer, Verifier
    from registry.logs.chain_memory import ChainMemory
    from registry.store.object_store import PrunableStore
    from registry.store.transfer import Transfer

type Locate = Callable[[str], str | None]
"""Instance id -> its loopback address; None where nobody knows."""

USUAL_RECIPE: Final = "transfer"
"""For real photos, on whatever machine."""

DRAWN_RECIPE: Final = "two-cores"
"""For the photos that a rehearsal draws, on this machine's cores."""

SUMMARY = Path(".rehearsal") / "summary.json"
"""Where a rehearsal says what it consists of."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """One stack of one place: its outputs, and clients that act there with timeouts and retries.

    `endpoint_urls` are the endpoints of all stacks as they are reached from here. In a rehearsal `aws_url` is the
    emulator's address, and `locate` says where an instance answers on this machine. `recipe` is what photos are trained
    by where nobody says otherwise: `training.hyper_parameters.RECIPES`. A `role` (a key of
    `outputs.roles`) makes a client act as that operator role, assumed by STS, so that least privilege holds for
    people too, for as long as a command takes (`petpark.targets.role_session`). It is assumed by the user
    that `players` name for it, else by `session`, whose own permissions also serve what needs no role.
    """

    kind: str
    stacks: tuple[str, ...]
    outputs: StackOutputs
    endpoint_urls: Mapping[str, str]
    session: boto3.Session
    players: Mapping[str, boto3.Session] = field(default_factory=dict[str, "boto3.Session"])
    aws_url: str | None = None
    locate: Locate | None = None
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
        """What this machine remembers of the logs in the model store."""
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
        """Where one instance answers on `port`: at its private address, which a rehearsal has on loopback."""
        address = private_address
        if self.aws_url is not None:
            found = self.locate(instance_id) if self.locate is not None else None
            address = found or "127." + private_address.partition(".")[2]
        return f"http://{address}:{port}"

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

            self._assumed[role] = role_session(self.players.get(role, self.session), arn, self.aws_url)
        return self._assumed[role]


def machine_cache() -> Path:
    """Where this user's caches of petpark lie: https://specifications.freedesktop.org/basedir-spec/latest/"""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "petpark"


def open_target(kind: str, stack: str) -> Target:
    """The target of this run: `aws` asks the Pulumi CLI, `rehearsal` reads what the rehearsal in this folder wrote."""
    return open_rehearsal(stack) if kind == "rehearsal" else open_aws(stack)


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


def open_rehearsal(stack: str, summary: Path = SUMMARY) -> Target:
    """The rehearsal that `summary` describes, as its people, or as the one whom `PETPARK_PERSON` names.

    Raises `RehearsalNotRunning`, `StackNotDeployed` or `PersonUnknown`.
    """
    facts = _read_summary(summary)
    deployed: Mapping[str, Any] = facts["stacks"]
    if stack not in deployed:
        raise StackNotDeployed(
            f"The rehearsal has no stack {stack}; it has {', '.join(deployed) or 'none'}.",
            next_step="petpark rehearse --keep",
        )
    return rehearsal_target(
        parse(stack, deployed[stack]),
        facts["endpoints"],
        facts["emulator"]["url"],
        tuple(deployed),
        people=read_people(summary.parent / FILE),
        alone=chosen(),
        locate=lambda instance: _recorded_address(summary.parent, instance),
        recipe=str(facts.get("recipe") or DRAWN_RECIPE),
    )


def rehearsal_target(
    outputs: StackOutputs,
    endpoints: Mapping[str, str],
    url: str,
    stacks: tuple[str, ...],
    *,
    people: Sequence[Person] = (),
    alone: str | None = None,
    locate: Locate | None = None,
    recipe: str = DRAWN_RECIPE,
) -> Target:
    """A target in the emulator at `url`; what the rehearsal itself uses before its summary is written.

    Each role is played by its own of the `people`, or every one by the person named `alone` (`PersonUnknown`); what
    needs no role is done by whoever plays the publisher. Without people the account's administrator does everything.
    """
    import boto3

    def signed_in(key: str, secret: str) -> boto3.Session:
        return boto3.Session(aws_access_key_id=key, aws_secret_access_key=secret, region_name=outputs.region)

    cast = players(people, alone=alone)
    sessions = {person: signed_in(person.access_key_id, person.secret_access_key) for person in set(cast.values())}
    publisher = cast.get(Role.PUBLISHER)
    return Target(
        kind="rehearsal",
        stacks=stacks,
        outputs=outputs,
        endpoint_urls=endpoints,
        session=signed_in("test", "test") if publisher is None else sessions[publisher],
        players={role: sessions[person] for role, person in cast.items()},
        aws_url=url,
        locate=locate,
        recipe=recipe,
    )


def _recorded_address(directory: Path, instance_id: str) -> str | None:
    """What the rehearsal in `directory` wrote down about an instance that it runs."""
    record = directory / "instances" / instance_id / "address"
    return record.read_text().strip() if record.is_file() else None


def _read_summary(path: Path) -> Mapping[str, Any]:
    try:
        facts = json.loads(path.read_bytes())
        _ = facts["stacks"], facts["endpoints"], facts["emulator"]["url"]
    except FileNotFoundError:
        raise RehearsalNotRunning(
            f"No rehearsal is running here: {path} does not exist.", next_step="petpark rehearse --keep"
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise RehearsalNotRunning(
            f"{path} does not describe a rehearsal ({error!r}); it may be still on its way, or broken.",
            next_step="Wait for it, or start afresh: petpark rehearse down, then petpark rehearse --keep",
        ) from None
    return facts
