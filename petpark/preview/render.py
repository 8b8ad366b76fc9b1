"""The page of one or more plans, with all of its parts. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from petpark.preview import cost, rules
from petpark.preview.models import changes
from petpark.preview.page import comment, page
from petpark.preview.plan import Plan


def pages(plans: Sequence[Plan], *, untrusted: bool = False) -> tuple[str, str]:
    """The page as a comment, which is never too long, and the complete one.

    `untrusted`: the plans come from a run that nobody has checked, such as a fork's, and the page says so.
    """
    sections = [part(plan) for part in (rules.section, changes.section, cost.section) for plan in plans]
    return (
        comment(plans, sections=sections, untrusted=untrusted),
        page(plans, sections=sections, untrusted=untrusted),
    )
