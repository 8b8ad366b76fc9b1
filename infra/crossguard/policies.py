"""Each rule as a policy: the engine's resources in, the rule's findings out.

A rule over one resource is asked before that resource is created, with its inputs; a rule over several is asked once at
the end of a preview or an update, with all outputs. https://www.pulumi.com/docs/insights/policy/
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from pulumi_policy import (
    EnforcementLevel,
    Policy,
    PolicyResource,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)
from pulumi_policy.proxy import UNKNOWN_STRING_VALUE, UnknownValueError

from infra.configuration import prices
from infra.configuration.stack_file import read_stack
from infra.rule_limits import rule_limits
from infra.rules import RULES, UNKNOWN, Finding, Limits, Resource, Rule
from infra.rules.resource import Stack
from infra.rules.rule import Context

type LimitsOf = Callable[[str], Limits]
"""The limits of the stack that a URN is of."""


def policies(root: Path) -> list[Policy]:
    """All rules, with the settings of `Pulumi.<stack>.yaml` below `root`.

    The file is read, because pulumi-policy 1.21 keeps the configuration that the engine sends (`ConfigureStack`) from
    policies. https://github.com/pulumi/pulumi/blob/v3.274.0/pkg/resource/plugin/analyzer_plugin.go
    """

    @lru_cache(maxsize=1)
    def limits(stack: str) -> Limits:
        return rule_limits(read_stack(root, stack), prices.load())

    return [_policy(rule, lambda urn: limits(_stack(urn))) for rule in RULES]


def _stack(urn: str) -> str:
    """The stack's name. https://www.pulumi.com/docs/iac/concepts/resources/names/#urns"""
    return urn.removeprefix("urn:pulumi:").partition("::")[0]


def _policy(rule: Rule, limits: LimitsOf) -> Policy:
    text = f"{rule.demands} See {rule.source}"
    level = EnforcementLevel(rule.severity)
    if rule.each is not None and rule.alone:

        def one(args: ResourceValidationArgs, report: ReportViolation) -> None:
            resource = Resource(
                type=args.resource_type,
                name=args.name,
                urn=args.urn,
                properties=_plain(args.props),
                protect=args.opts.protect,
                retain=None,
            )
            context = Context(stack=Stack((resource,)), limits=limits(args.urn))
            _report(rule.judge(resource, context), report)

        return ResourceValidationPolicy(rule.name, text, one, level, url=rule.source)

    def whole(args: StackValidationArgs, report: ReportViolation) -> None:
        if args.resources:
            context = Context(stack=Stack(_resources(args.resources)), limits=limits(args.resources[0].urn))
            _report(rule.findings(context), report)

    return StackValidationPolicy(rule.name, text, whole, level, url=rule.source)


def _resources(declared: Iterable[PolicyResource]) -> tuple[Resource, ...]:
    return tuple(
        Resource(
            type=one.resource_type,
            name=one.name,
            urn=one.urn,
            properties=_plain(one.props),
            protect=one.opts.protect,
            retain=None,
            refers={name: frozenset(each.urn for each in of) for name, of in one.property_dependencies.items()},
        )
        for one in declared
    )


def _report(findings: Iterator[Finding], report: ReportViolation) -> None:
    """Report violations; say then, as Pulumi does, if something could not be decided, which ends nothing."""
    undecided: Finding | None = None
    for finding in findings:
        if finding.decided:
            report(finding.message, finding.urn or None)
        else:
            undecided = finding
    if undecided is not None:
        error = UnknownValueError(UNKNOWN_STRING_VALUE, [])
        error.message = f"{undecided.name or 'the stack'}: {undecided.message}"
        raise error


def _plain(value: Any) -> Any:
    """A value without pulumi-policy's proxies, which raise where something is not known yet."""
    if isinstance(value, Mapping):
        return {key: _item(value, key) for key in value}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_item(value, position) for position in range(len(value))]
    return value


def _item(of: Any, key: Any) -> Any:
    try:
        return _plain(of[key])
    except UnknownValueError:
        return UNKNOWN
