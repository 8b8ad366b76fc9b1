"""A monthly budget for each stack: who is notified, and what is stopped when it is used up."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra import policies
from infra.component import Component, document

_TOLD: Sequence[tuple[str, int]] = (("ACTUAL", 80), ("ACTUAL", 100), ("FORECASTED", 100))
"""Kind of notification, and the percentage of the budget above which it is sent. A forecast needs some five weeks of
costs. https://docs.aws.amazon.com/cost-management/latest/userguide/budgets-best-practices.html"""


@dataclass(frozen=True, kw_only=True)
class BudgetsArgs:
    """What each stack may cost, and which roles may start nothing once its budget is used up."""

    account: pulumi.Input[str]
    monthly_usd: Mapping[str, int]
    email: str | None
    deploy_roles: Mapping[str, aws.iam.Role]
    """Of each stack."""
    others: Sequence[str]
    """Names of further roles."""


class Budgets(Component):
    """Budgets by the tag `petpark:stack`, their topic, and the policy that they apply.

    They are not in the stacks that they limit: anyone who deploys a stack could change its budget.
    """

    def __init__(self, name: str, args: BudgetsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        self.args = args
        self.topic = self._create_topic()
        self.policy = self._create_policy()
        self.acting = self._create_acting_role()
        for stack, usd in args.monthly_usd.items():
            self._stop(stack, self._create_budget(stack, usd))
        self.register_outputs({"topic": self.topic.arn})

    def _create_topic(self) -> aws.sns.Topic:
        topic = aws.sns.Topic(**self.child("alarms"), tags=self.tagged("alarms"))
        may_publish = document(policies.receive_budget_alerts, topic=topic.arn, account=self.args.account)
        aws.sns.TopicPolicy(**self.child("alarms-policy"), arn=topic.arn, policy=may_publish)
        if self.args.email is not None:
            aws.sns.TopicSubscription(
                **self.child("email"), topic=topic.arn, protocol="email", endpoint=self.args.email
            )
        return topic

    def _create_policy(self) -> aws.iam.Policy:
        return aws.iam.Policy(
            **self.child("start-nothing"),
            description="petpark: a budget is used up",
            policy=policies.as_json(policies.start_nothing()),
            tags=self.tags,
        )

    def _create_acting_role(self) -> aws.iam.Role:
        """Make the role in which AWS Budgets attaches the policy."""
        trusting = document(policies.trust_budgets, account=self.args.account)
        role = aws.iam.Role(**self.child("acting"), assume_role_policy=trusting, tags=self.tags)
        others = [
            pulumi.Output.format("arn:aws:iam::{0}:role/{1}", self.args.account, other) for other in self.args.others
        ]
        aws.iam.RolePolicy(
            **self.child("acting"),
            role=role.name,
            policy=document(
                policies.apply_policy,
                policy=self.policy.arn,
                roles=[*(deploying.arn for deploying in self.args.deploy_roles.values()), *others],
            ),
        )
        return role

    def _create_budget(self, stack: str, usd: int) -> aws.budgets.Budget:
        """Costs are counted by a cost allocation tag, which somebody activates once: docs/design/delivery.md."""
        return aws.budgets.Budget(
            **self.child(stack),
            budget_type="COST",
            time_unit="MONTHLY",
            limit_amount=str(usd),
            limit_unit="USD",
            cost_filters=[{"name": "TagKeyValue", "values": [f"user:petpark:stack${stack}"]}],
            notifications=[
                {
                    "notification_type": kind,
                    "comparison_operator": "GREATER_THAN",
                    "threshold": percent,
                    "threshold_type": "PERCENTAGE",
                    "subscriber_sns_topic_arns": [self.topic.arn],
                }
                for kind, percent in _TOLD
            ],
            tags=self.tags,
        )

    def _stop(self, stack: str, budget: aws.budgets.Budget) -> None:
        """Deny starting instances to those who do, once the money is spent; AWS undoes it at the end of the month.

        https://docs.aws.amazon.com/cost-management/latest/userguide/budgets-controls.html
        """
        aws.budgets.BudgetAction(
            **self.child(f"{stack}-stop"),
            budget_name=budget.name,
            action_type="APPLY_IAM_POLICY",
            approval_model="AUTOMATIC",
            notification_type="ACTUAL",
            action_threshold={"action_threshold_type": "PERCENTAGE", "action_threshold_value": 100},
            execution_role_arn=self.acting.arn,
            definition={
                "iam_action_definition": {
                    "policy_arn": self.policy.arn,
                    "roles": [self.args.deploy_roles[stack].name, *self.args.others],
                }
            },
            subscribers=[{"subscription_type": "SNS", "address": self.topic.arn}],
            tags=self.tags,
        )
