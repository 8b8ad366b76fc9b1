"""Delivery's part of an account: `pulumi up --cwd infra/delivery --stack account`, by an administrator."""

import pulumi
import pulumi_aws as aws

from infra.delivery import settings
from infra.delivery.budgets import Budgets, BudgetsArgs
from infra.delivery.deploy_roles import DeployRoles, DeployRolesArgs

delivery = settings.load()
account = aws.get_caller_identity_output().account_id

roles = DeployRoles("delivery", DeployRolesArgs(account=account, settings=delivery))
budgets = Budgets(
    "budgets",
    BudgetsArgs(
        account=account,
        monthly_usd=delivery.monthly_usd,
        email=delivery.alarm_email,
        deploy_roles=roles.deploy,
        others=delivery.stopped_roles,
    ),
)

pulumi.export("preview_role", roles.preview.arn)
pulumi.export("deploy_roles", {stack: role.arn for stack, role in roles.deploy.items()})
pulumi.export("budget_alarms", budgets.topic.arn)
