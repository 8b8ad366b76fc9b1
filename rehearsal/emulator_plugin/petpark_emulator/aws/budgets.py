"""Budgets can be read back whole and changed.

AWS answers a notification's subscribers, changes a budget and keeps its tags. moto knows none of these calls.
"""

import json
import time
from functools import wraps
from typing import Any

IDENTITY = ("NotificationType", "ComparisonOperator", "Threshold")
"""What tells one notification of a budget from another."""


def apply() -> None:
    """Add the missing calls to moto's budgets."""
    from moto.budgets.responses import BudgetsResponse

    response: Any = BudgetsResponse
    response.describe_subscribers_for_notification = _describe_subscribers
    response.update_budget = _update_budget
    _add_tags(response)


def _budget(response: Any, account: str, name: str) -> Any:
    response.backend.describe_budget(account, name)  # refuses an unknown name
    return response.backend.budgets[account][name]


def _describe_subscribers(self: Any) -> str:
    request = json.loads(self.body)
    budget = _budget(self, request["AccountId"], request["BudgetName"])
    wanted = {key: request["Notification"].get(key) for key in IDENTITY}
    for notification in budget.notifications:
        if {key: notification.details.get(key) for key in IDENTITY} == wanted:
            return json.dumps({"Subscribers": notification.subscribers})
    return json.dumps({"Subscribers": []})


def _update_budget(self: Any) -> str:
    request = json.loads(self.body)
    changed = request["NewBudget"]
    budget = _budget(self, request["AccountId"], changed["BudgetName"])
    budget.budget.update({key: value for key, value in changed.items() if key != "CalculatedSpend"})
    budget.budget["LastUpdatedTime"] = time.time()
    return "{}"


def _add_tags(response_class: Any) -> None:
    tags: dict[str, dict[str, str]] = {}
    original = response_class.create_budget

    @wraps(original)
    def create_budget(self: Any) -> Any:
        answer, request = original(self), json.loads(self.body)
        arn = f"arn:aws:budgets::{request['AccountId']}:budget/{request['Budget']['BudgetName']}"
        tags[arn] = {tag["Key"]: tag["Value"] for tag in request.get("ResourceTags") or []}
        return answer

    def list_tags_for_resource(self: Any) -> Any:
        of_resource = tags.get(json.loads(self.body)["ResourceARN"], {})
        return json.dumps({"ResourceTags": [{"Key": key, "Value": value} for key, value in of_resource.items()]})

    def tag_resource(self: Any) -> Any:
        request = json.loads(self.body)
        tags.setdefault(request["ResourceARN"], {}).update({t["Key"]: t["Value"] for t in request["ResourceTags"]})
        return "{}"

    def untag_resource(self: Any) -> Any:
        request = json.loads(self.body)
        for key in request["ResourceTagKeys"]:
            tags.get(request["ResourceARN"], {}).pop(key, None)
        return "{}"

    response_class.create_budget = create_budget
    response_class.list_tags_for_resource = list_tags_for_resource
    response_class.tag_resource = tag_resource
    response_class.untag_resource = untag_resource
