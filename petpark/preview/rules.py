"""The rules about declared resources (docs/design/rules.md), applied to a preview."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

from petpark.preview.page import code, escape
from petpark.preview.plan import Checked, Plan, Violation

if TYPE_CHECKING:
    from infra.configuration.prices import PriceTable

_SHOWN: Final = 50


def checked(text: str, root: Path, stack: str, table: PriceTable) -> Checked:
    """Returns all rules' findings on `pulumi preview --json --show-sames`, with the limits of the stack's YAML."""
    from infra.configuration.stack_file import SettingsUnusable, read_stack
    from infra.rule_limits import rule_limits
    from infra.rules import Severity, check
    from infra.rules.preview import PreviewUnusable, read_preview

    try:
        findings = check(read_preview(json.loads(text)), rule_limits(read_stack(root, stack), table))
    except (PreviewUnusable, SettingsUnusable) as error:
        return Checked(problem=" ".join(str(error).split()))
    except (ValueError, KeyError, TypeError, AttributeError):
        return Checked(problem="a resource in the preview has an unexpected format")
    return Checked(
        violations=tuple(
            Violation(
                rule=each.rule.name,
                resource=each.name,
                message=each.message,
                mandatory=each.severity is Severity.MANDATORY,
            )
            for each in findings
        )
    )


def section(plan: Plan) -> str:
    """Returns the page's section on one stack's rules, in Markdown: violations first, then undecided rules."""
    title = f"### Rules of stack {escape(plan.stack)}"
    if plan.rules is None:
        return f"{title}\n\nNot checked: this plan was saved without them."
    if plan.rules.problem:
        return f"{title}\n\nNot checked: {code(plan.rules.problem[:500])}"
    if not plan.rules.violations:
        return f"{title}\n\n✓ No rule is violated."
    ordered = sorted(plan.rules.violations, key=lambda each: (not each.mandatory, each.rule, each.resource))
    rows = [
        f"- {'✗' if each.mandatory else '⚠'} {code(each.rule[:100])}: "
        f"{code(each.resource[:200]) + ' ' if each.resource else ''}{code(each.message[:500])}"
        for each in ordered[:_SHOWN]
    ]
    if len(ordered) > _SHOWN:
        rows.append(f"- … and {len(ordered) - _SHOWN} more")
    mandatory = sum(each.mandatory for each in ordered)
    counts = f"{mandatory} violated (✗), {len(ordered) - mandatory} warnings or not decided before the deployment (⚠)"
    return "\n".join((title, "", f"{counts}:", "", *rows))
