"""All rules, and how they are asked."""

from collections.abc import Iterable

from infra.rules import encryption, hourly_cost, instances, logs, network, permissions, storage, tags
from infra.rules.resource import Resource, Stack
from infra.rules.rule import Context, Finding, Limits, Rule

RULES: tuple[Rule, ...] = (
    *network.RULES,
    *storage.RULES,
    *encryption.RULES,
    *instances.RULES,
    *hourly_cost.RULES,
    *permissions.RULES,
    *tags.RULES,
    *logs.RULES,
)


def check(resources: Iterable[Resource], limits: Limits) -> tuple[Finding, ...]:
    """What all rules find in a stack's declared resources: violations, and what cannot be decided yet.

    `resources` must be all of the stack's: some rules look for a resource that is about another.
    """
    context = Context(stack=Stack(tuple(resources)), limits=limits)
    return tuple(finding for rule in RULES for finding in rule.findings(context))
