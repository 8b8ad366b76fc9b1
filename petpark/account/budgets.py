"""A budget that sends a notification before the bill arrives."""

import json
from collections.abc import Sequence

from petpark.account.cloud import Account
from petpark.account.identity import Caller
from petpark.doctor import Check, Health

_SUGGESTED_USD = "200"


def check(account: Account, caller: Caller) -> Sequence[Check]:
    """Whether any budget of the account has subscribers."""
    found = account.pages("budgets", "describe_budgets", "Budgets", AccountId=caller.account)
    names = [budget["BudgetName"] for budget in found]
    notified = [name for name in names if _notifies(account, caller, name)]
    if notified:
        return [Check(name="budget", health=Health.FINE, found=f"notifications from {', '.join(notified)}")]
    found = f"no notifications from {', '.join(names)}" if names else "there is none"
    return [Check(name="budget", health=Health.ABSENT, found=found, fix=_create(caller))]


def _notifies(account: Account, caller: Caller, budget: str) -> bool:
    answer = account.call(
        "budgets",
        "describe_notifications_for_budget",
        absent=("NotFoundException",),
        AccountId=caller.account,
        BudgetName=budget,
    )
    return bool(answer and answer.get("Notifications"))


def _create(caller: Caller) -> str:
    """https://docs.aws.amazon.com/cli/latest/reference/budgets/create-budget.html."""
    budget = {
        "BudgetName": "petpark",
        "BudgetType": "COST",
        "TimeUnit": "MONTHLY",
        "BudgetLimit": {"Amount": _SUGGESTED_USD, "Unit": "USD"},
    }
    notification = {
        "Notification": {"NotificationType": "FORECASTED", "ComparisonOperator": "GREATER_THAN", "Threshold": 100},
        "Subscribers": [{"SubscriptionType": "EMAIL", "Address": "YOU@EXAMPLE.ORG"}],
    }
    return (
        f"aws budgets create-budget --account-id {caller.account} --budget '{json.dumps(budget)}' "
        f"--notifications-with-subscribers '{json.dumps([notification])}'"
    )
