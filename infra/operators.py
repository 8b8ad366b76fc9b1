"""The roles that people and pipelines act in: one for each kind of writing to the registry, and one that only reads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra import policies
from infra.component import Component, document
from infra.resource_names import ResourceNameOutputs
from registry.layout.roles import Role


@dataclass(frozen=True, kw_only=True)
class OperatorsArgs:
    """Whose people may take the roles."""

    account: pulumi.Input[str]
    others: Sequence[str]
    """Accounts whose people may assume the roles that every stack needs: promoter and reader."""


class Operators(Component):
    """The roles themselves. What they may do is `Grants`, which needs the places that the roles themselves guard."""

    def __init__(self, name: str, args: OperatorsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        self.roles: Mapping[Role, aws.iam.Role] = {role: self._create_role(role, args) for role in Role}
        self.register_outputs({role.value: made.arn for role, made in self.roles.items()})

    def _create_role(self, role: Role, args: OperatorsArgs) -> aws.iam.Role:
        return aws.iam.Role(
            **self.child(role),
            description=f"petpark: what a {role} may do with models",
            assume_role_policy=document(
                policies.trust_people,
                account=args.account,
                others=args.others if role in (Role.PROMOTER, Role.READER) else (),
            ),
            tags=self.tagged(role),
        )


@dataclass(frozen=True, kw_only=True)
class GrantsArgs:
    """Which roles may do something, and where."""

    roles: Mapping[Role, aws.iam.Role]
    places: ResourceNameOutputs
    photo_sources: tuple[str, ...]
    """Buckets, or prefixes of buckets, outside of petpark that the publisher may ingest photos from."""


class Grants(Component):
    """Permissions of each operator role: the minimum for what `registry.layout.roles` defines."""

    def __init__(self, name: str, args: GrantsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        for role, made in args.roles.items():
            aws.iam.RolePolicy(
                **self.child(role),
                role=made.name,
                policy=document(
                    policies.operator, role=role, places=args.places.resolved(), photo_sources=args.photo_sources
                ),
            )
        self.register_outputs({})
