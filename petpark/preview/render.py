"""The page of one or more plans, with all sections. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from petpark.preview import cost, rules
from petpark.preview.models import changes
from petpark.preview.page import comment, page
from petpark.preview.plan import Plan


def pages(plans: Sequence[Plan], *, untrusted: bool = False) -> tuple[str, str]:
    """Returns the page as a comment within GitHub's limit, and the complete page.

    `untrusted`: the plans come from an unverified run, such as a fork's, and the page says so.
    """
    sections = [part(plan) for part in (rules.section, changes.section, cost.section) for plan in plans]
    return (
        comment(plans, sections=sections, untrusted=untrusted),
        page(plans, sections=sections, untrusted=untrusted),
    )
