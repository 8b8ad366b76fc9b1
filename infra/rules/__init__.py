"""Rules that every stack's declared resources must satisfy. Pure: resources and limits in, findings out.

Not the IAM policies of `infra.policies`: those are what the program declares, these judge it. docs/design/rules.md.
"""

from infra.rules.check import RULES, check
from infra.rules.resource import UNKNOWN, Resource
from infra.rules.rule import Finding, Limits, Rule, Severity, TrainingLimits

__all__ = ["RULES", "UNKNOWN", "Finding", "Limits", "Resource", "Rule", "Severity", "TrainingLimits", "check"]
