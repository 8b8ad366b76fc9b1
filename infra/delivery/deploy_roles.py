"""Who may act from GitHub: its identity provider, a role that reads, and one role for each stack that deploys."""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra import policies
from infra.component import Component, document
from infra.delivery.settings import DeliverySettings
from infra.policies import Document

SESSION_SECONDS = 7_200
"""As long as a workflow's job may run: an update, and instances that start one after the other."""


@dataclass(frozen=True, kw_only=True)
class DeployRolesArgs:
    """Which repository, branch and stacks."""

    account: pulumi.Input[str]
    settings: DeliverySettings


class DeployRoles(Component):
    """The provider for GitHub's tokens and the roles that trust it. An account has one provider for each issuer."""

    def __init__(self, name: str, args: DeployRolesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        self.args = args
        self.provider = self._create_provider()
        self.preview = self._create_preview_role()
        self.deploy: Mapping[str, aws.iam.Role] = {
            stack: self._create_deploy_role(stack) for stack in args.settings.monthly_usd
        }
        self.register_outputs({"preview": self.preview.arn})

    def _create_provider(self) -> aws.iam.OpenIdConnectProvider:
        """AWS trusts GitHub's certificate by its authorities; no thumbprint is needed.

        https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_create_oidc_verify-thumbprint.html
        """
        return aws.iam.OpenIdConnectProvider(
            **self.child("github"),
            url=f"https://{policies.GITHUB}",
            client_id_lists=[policies.AUDIENCE],
            tags=self.tagged("github"),
        )

    def _create_preview_role(self) -> aws.iam.Role:
        """Pull requests of branches, and jobs of the deployed branch without an environment: drift, prod's plan."""
        subjects = ["pull_request", f"ref:refs/heads/{self.args.settings.branch}"]
        role = self._create_role("preview", "read what is deployed, for previews and drift", subjects)
        settings = self.args.settings
        reading = document(
            policies.preview, account=self.args.account, region=settings.region, state_bucket=settings.state_bucket
        )
        self._grant("preview-read", role, reading)
        return role

    def _create_deploy_role(self, stack: str) -> aws.iam.Role:
        """Jobs of the environment alone, whose rules (reviewers, branches) GitHub has applied before it signs."""
        role = self._create_role(f"deploy-{stack}", f"deploy stack {stack}", [f"environment:{stack}"])
        settings = self.args.settings

        def granted(account: str) -> Mapping[str, Document]:
            return policies.deploy(
                policies.Deploying(
                    account=account,
                    region=settings.region,
                    stack=stack,
                    owner=stack == settings.owner,
                    state_bucket=settings.state_bucket,
                )
            )

        for area in granted(""):
            policy = document(lambda account, area=area: granted(account)[area], account=self.args.account)
            self._grant(f"deploy-{stack}-{area}", role, policy)
        return role

    def _grant(self, part: str, role: aws.iam.Role, policy: pulumi.Output[str]) -> None:
        """Attach a managed policy: inline ones would be too long together.

        https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
        """
        made = aws.iam.Policy(**self.child(part), policy=policy, tags=self.tags)
        aws.iam.RolePolicyAttachment(**self.child(part), role=role.name, policy_arn=made.arn)

    def _create_role(self, part: str, purpose: str, subjects: list[str]) -> aws.iam.Role:
        return aws.iam.Role(
            **self.child(part),
            description=f"petpark: {purpose}",
            max_session_duration=SESSION_SECONDS,
            assume_role_policy=document(
                policies.trust_github,
                provider=self.provider.arn,
                repository=self.args.settings.repository,
                subjects=subjects,
            ),
            tags=self.tagged(part),
        )
