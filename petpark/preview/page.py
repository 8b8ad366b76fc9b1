"""The page of a preview: Markdown for a pull request's comment, never longer than GitHub accepts. Pure."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from petpark.preview.plan import Op, Plan, PropertyChange, ResourceChange
from petpark.preview.values import TextChange, compare

LIMIT: Final = 65_536
"""Characters of a comment on GitHub: https://docs.github.com/en/rest/issues/comments (body, "too long")."""

MARK: Final = "<!-- petpark preview -->"
"""The first line, by which the comment is found again and updated in place."""

_TITLES: Final = {
    Op.REPLACE: "Replaced",
    Op.DELETE: "Deleted",
    Op.UPDATE: "Changed",
    Op.CREATE: "Created",
}
_SIGNS: Final = {Op.REPLACE: "±", Op.DELETE: "−", Op.UPDATE: "~", Op.CREATE: "+"}
_UNTRUSTED: Final = (
    "> [!NOTE]",
    "> A run of this pull request's own code, without credentials, wrote this page; it is not verified. The",
    "> deploy job makes its own preview before it applies anything.",
    "",
)
_FOLD_OVER: Final = 6
"""A resource with more lines is folded."""
_PROBLEMS: Final = 20
"""Maximum number of errors and warnings shown per stack."""
_NEW_LINE: Final = {"\n": "⏎", "\r": "␍"}
_INVISIBLE: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode categories of characters that are invisible, or change how others are shown."""


@dataclass(frozen=True, kw_only=True)
class Detail:
    """How much of a plan a page shows. `resources`: maximum per kind and stack; None: all."""

    characters: int
    properties: int
    resources: int | None


COMPLETE: Final = Detail(characters=1 << 40, properties=1 << 40, resources=None)
"""For the artifact."""

_LEVELS: Final = (
    Detail(characters=2_000, properties=100, resources=None),
    Detail(characters=300, properties=40, resources=None),
    Detail(characters=120, properties=12, resources=None),
    Detail(characters=80, properties=4, resources=200),
    Detail(characters=60, properties=0, resources=100),
    Detail(characters=60, properties=0, resources=25),
    Detail(characters=60, properties=0, resources=5),
    Detail(characters=40, properties=0, resources=0),
)


def comment(plans: Sequence[Plan], *, sections: Sequence[str] = (), untrusted: bool = False, limit: int = LIMIT) -> str:
    """Returns the page in at most `limit` characters, with as much detail as fits.

    `untrusted`: the plans come from an unverified run. `sections` are further sections in Markdown (models, cost,
    rules), placed before the details.
    """
    for detail in _LEVELS:
        text = page(plans, sections=sections, untrusted=untrusted, detail=detail)
        if len(text) <= limit:
            return text
    elsewhere = "Everything else is too long for a comment: see the artifact `preview-<stack>` of this run."
    shortest = page(plans, sections=(elsewhere,), untrusted=untrusted, detail=_LEVELS[-1])
    return shortest if len(shortest) <= limit else f"{shortest[: limit - 2]}\n…"


def page(
    plans: Sequence[Plan], *, sections: Sequence[str] = (), untrusted: bool = False, detail: Detail = COMPLETE
) -> str:
    """Returns the page with this much detail."""
    parts = [MARK, "## What this change would do", *(_UNTRUSTED if untrusted else ()), _overview(plans)]
    losses = [line for plan in plans for line in _losses(plan, detail)]
    if losses:
        parts += ["", "> [!CAUTION]", *(f"> - {line}" for line in losses)]
    parts += ["", *(line for section in sections for line in (section, ""))]
    left_out = 0
    for plan in plans:
        lines, missing = _stack(plan, detail)
        parts += lines
        left_out += missing
    if left_out or (detail is not COMPLETE and _shortened(plans, detail)):
        parts += [_left_out(left_out), ""]
    parts += _binding(plans, untrusted=untrusted)
    return "\n".join(parts).strip() + "\n"


def _overview(plans: Sequence[Plan]) -> str:
    rows = [
        "| stack | replaced | deleted | changed | created | unchanged | made from |",
        "|---|---|---|---|---|---|---|",
    ]
    for plan in plans:
        counts = [str(len(plan.of(op)) or "–") for op in _TITLES]
        rows.append(f"| **{escape(plan.stack)}** | {' | '.join(counts)} | {plan.unchanged} | {escape(plan.source)} |")
    return "\n".join(rows)


def _losses(plan: Plan, detail: Detail) -> Iterator[str]:
    losing = [change for change in plan.changes if change.loses]
    shown = losing if detail.resources is None else losing[: detail.resources]
    for change in sorted(shown, key=lambda each: (each.type, each.name)):
        verb = "replaced" if change.op is Op.REPLACE else "deleted"
        refused = " It is protected: `up` refuses this." if change.protected else ""
        yield f"**{escape(plan.stack)}**: {_resource(change, detail)} would be {verb}. Lost: {change.loses}.{refused}"
    if len(losing) > len(shown):
        yield f"**{escape(plan.stack)}**: {len(losing) - len(shown)} more resources that hold data."


def _stack(plan: Plan, detail: Detail) -> tuple[list[str], int]:
    """The section on one stack, and the number of resources that it omits."""
    lines = [f"### Stack {escape(plan.stack)}", ""]
    for note in plan.notes[:_PROBLEMS]:
        lines.append(f"- ℹ {escape(_cut(note, min(detail.characters, 500)))}")
    for problem in plan.problems[:_PROBLEMS]:
        lines.append(f"- ⚠ {code(_cut(problem, min(detail.characters, 500)))}")
    if len(plan.problems) > _PROBLEMS:
        lines.append(f"- ⚠ … and {len(plan.problems) - _PROBLEMS} more")
    if plan.problems or plan.notes:
        lines.append("")
    if not plan.changes:
        return [*lines, "No resource changes.", ""], 0
    missing = 0
    for op, title in _TITLES.items():
        changes = plan.of(op)
        shown = changes if detail.resources is None else changes[: detail.resources]
        if not changes:
            continue
        lines += [f"**{title}: {len(changes)}**", ""]
        for change in shown:
            lines += _change(change, detail)
        if len(shown) < len(changes):
            lines.append(f"- … and {len(changes) - len(shown)} more")
        missing += len(changes) - len(shown)
        lines.append("")
    return lines, missing


def _change(change: ResourceChange, detail: Detail) -> list[str]:
    found = [each for prop in change.properties for each in compare(prop)]
    found.sort(key=lambda each: (not each.forces, each.path))
    rows = [row for each in found[: detail.properties] for row in _row(each, detail)]
    if len(found) > detail.properties:
        rows.append(f"- … {len(found) - detail.properties} properties more")
    reasons = _cut(", ".join(sorted({each.path for each in found if each.forces})), detail.characters)
    reasons = reasons if change.op is Op.REPLACE else ""
    head = f"{_SIGNS[change.op]} {_resource(change, detail)}{f' – forced by {code(reasons)}' if reasons else ''}"
    if not rows:
        return [f"- {head}"]
    if change.op is Op.CREATE or len(rows) > _FOLD_OVER:
        count = f"{len(found)} properties" if len(found) != 1 else "1 property"
        forced = f" – forced by <code>{html.escape(_visible(reasons))}</code>" if reasons else ""
        name, type_ = html.escape(_visible(_cut(change.name, detail.characters))), html.escape(change.type)
        summary = f"{_SIGNS[change.op]} <code>{name}</code> ({type_}){forced}: {count}"
        folded = (f"  {row}" for row in rows)
        return [f"- <details><summary>{summary}</summary>", "", *folded, "", "  </details>"]
    return [f"- {head}", *(f"  {row}" for row in rows)]


def _row(each: PropertyChange | TextChange, detail: Detail) -> Iterator[str]:
    path = code(_cut(each.path, detail.characters))
    if isinstance(each, TextChange):
        fence = "`" * (3 + max((len(run) for line in each.lines for run in re.findall(r"`{3,}", line)), default=0))
        lines = map(_visible, _cut_lines(each.lines, detail.characters))
        yield f"- {path}{_forces(each.forces)}"
        yield f"  {fence}diff"
        yield from (f"  {line}" for line in lines)
        yield f"  {fence}"
        return
    before, after = (value if value is None else _cut(value, detail.characters) for value in (each.before, each.after))
    if before is None:
        yield f"- {path}: {code(after or '')}{_forces(each.forces)}"
    elif after is None:
        yield f"- {path}: {code(before)} → removed{_forces(each.forces)}"
    else:
        yield f"- {path}: {code(before)} → {code(after)}{_forces(each.forces)}"


def _forces(forces: bool) -> str:
    return " **(forces a replacement)**" if forces else ""


def _cut_lines(lines: Sequence[str], characters: int) -> list[str]:
    kept: list[str] = []
    for line in lines:
        characters -= len(line) + 1
        if characters < 0:
            return [*kept, f"… {len(lines) - len(kept)} lines more"]
        kept.append(line)
    return kept


def _cut(text: str, characters: int) -> str:
    if len(text) <= characters:
        return text
    return f"{text[:characters]}… ({len(text):,} characters)"


def _shortened(plans: Sequence[Plan], detail: Detail) -> bool:
    found = [each for plan in plans for change in plan.changes for prop in change.properties for each in compare(prop)]
    if any(len(change.properties) > detail.properties for plan in plans for change in plan.changes):
        return True
    values = (
        "\n".join(each.lines) if isinstance(each, TextChange) else max(each.before or "", each.after or "", key=len)
        for each in found
    )
    return any(len(value) > detail.characters for value in values)


def _left_out(resources: int) -> str:
    what = f"{resources} resources are counted only, and long values" if resources else "Long values"
    return f"{what} are shortened here. The complete page is in the artifact `preview-<stack>` of this run."


def _binding(plans: Sequence[Plan], *, untrusted: bool) -> Iterator[str]:
    yield "<details><summary>What this page is bound to</summary>"
    yield ""
    for plan in plans:
        yield f"- stack {escape(plan.stack)}"
        yield f"  - plan {code(plan.digest)}"
        yield f"  - program: commit {code(plan.commit or 'unknown')}, tree {code(plan.tree or 'unknown')}"
        yield f"  - state {code(plan.state or 'unknown')}"
        if plan.binds and not untrusted:
            yield f"  - before `pulumi up`: {code(f'petpark preview --stack {plan.stack} --expect {plan.binding}')}"
        else:
            yield "  - no `up` can be bound to it: that needs a preview of the stack itself, in a clean checkout"
    yield ""
    yield "</details>"


def _resource(change: ResourceChange, detail: Detail) -> str:
    return f"{code(_cut(change.name, detail.characters))} ({escape(change.type)})"


def _visible(text: str) -> str:
    """On one line, with each invisible character replaced by `␀` to `␟` or its code point."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_shown, text))


def _shown(character: str) -> str:
    if unicodedata.category(character) not in _INVISIBLE:
        return character
    code = ord(character)
    return _NEW_LINE.get(character) or (chr(0x2400 + code) if code < 32 else f"\\u{code:04x}")


def code(text: str) -> str:
    """Returns `text` as a code span on one line, for any content. https://spec.commonmark.org/0.31.2/#code-spans."""
    text = _visible(text) or " "
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * (longest + 1)
    spaced = text.startswith(" ") and text.endswith(" ") and text.strip(" ") != ""  # a space of both would be dropped
    pad = " " if text.startswith("`") or text.endswith("`") or spaced else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def escape(text: str) -> str:
    """Returns `text` escaped, without links: https://github.github.com/gfm/#autolinks-extension-."""
    return re.sub(r"([\\`*_{}\[\]<>|#@]|(?<=:)/(?=/)|(?<=www)\.)", r"\\\1", _visible(text), flags=re.IGNORECASE)
