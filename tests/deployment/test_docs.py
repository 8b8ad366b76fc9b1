"""The documentation stays readable and true: short lines, links that lead somewhere, and names that exist."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from tests.pulumi_stand_in import REPOSITORY

LINE_LENGTH: Final = 120
_PAGES: Final = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]
_PACKAGES: Final = (
    "benchmarks",
    "camera",
    "imaging",
    "infra",
    "monitoring",
    "petpark",
    "registry",
    "rehearsal",
    "serving",
    "training",
)
_TOP: Final = (*_PACKAGES, "docs", "requirements", "tests")
_FENCE: Final = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_SPAN: Final = re.compile(r"(?<!`)`([^`]+)`(?!`)")
_LINK: Final = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_PATH: Final = re.compile(rf"(?:{'|'.join(_TOP)})/[\w./*-]*")
_FILE: Final = re.compile(r"[\w-]+\.(?:py|j2|css|js|sh|toml|service)")
_MODULE: Final = re.compile(rf"(?:{'|'.join(_PACKAGES)})(?:\.\w+)+(?<!\.md|env)(?<!\.in)")
_TEST: Final = re.compile(r"test_\w+")
_STEP: Final = re.compile(r"\d+\. `([\w/]+\.py)`, `(\w+)")


def _text(page: Path) -> str:
    """The page without its code blocks, lines joined."""
    return " ".join(_FENCE.sub("", page.read_text(encoding="utf-8")).split())


def _spans(page: Path) -> list[str]:
    return [span.strip() for span in _SPAN.findall(_text(page))]


@cache
def _files() -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for top in _TOP:
        for path in (REPOSITORY / top).rglob("*"):
            if "node_modules" not in path.parts and path.is_file():
                found.setdefault(path.name, []).append(path)
    for path in REPOSITORY.iterdir():
        found.setdefault(path.name, []).append(path)
    return found


@cache
def _tests() -> frozenset[str]:
    files = [path for name, paths in _files().items() if name.endswith(".py") for path in paths]
    return frozenset(
        name
        for path in files
        if path.is_relative_to(REPOSITORY / "tests")
        for name in (path.stem, *re.findall(r"^\s*def (test_\w+)\(", path.read_text(encoding="utf-8"), re.MULTILINE))
    )


@cache
def _names(module: Path) -> frozenset[str]:
    """What a module defines or imports at its top level."""
    found: set[str] = set()
    for node in ast.parse(module.read_text(encoding="utf-8")).body:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                found.add(name)
            case ast.TypeAlias(name=ast.Name(id=name)) | ast.AnnAssign(target=ast.Name(id=name)):
                found.add(name)
            case ast.Assign(targets=targets):
                found |= {target.id for target in targets if isinstance(target, ast.Name)}
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                found |= {alias.asname or alias.name for alias in names}
            case _:
                pass
    return frozenset(found)


def _exists(dotted: str) -> bool:
    """Whether `package.module`, or `package.module.Name` with whatever of it follows, is in the repository."""
    place = REPOSITORY
    for part in dotted.split("."):
        if (place / part).is_dir():
            place /= part
        elif (place / f"{part}.py").is_file():
            place = place / f"{part}.py"
        else:
            module = place if place.suffix == ".py" else place / "__init__.py"
            return module.is_file() and part in _names(module)
    return True


def _anchors(page: Path) -> set[str]:
    """GitHub's ids of the headings: lower case, punctuation removed, spaces as hyphens."""
    headings = re.findall(r"^#+ (.+)$", _FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def _dead(page: Path) -> list[str]:
    """Links, paths, file names, modules and tests that the page names and that do not exist."""
    dead: list[str] = []
    for link in _LINK.findall(_text(page)):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if "://" not in link and not (target.exists() and (not anchor or anchor in _anchors(target))):
            dead.append(link)
    for file, name in _STEP.findall(_text(page)):
        if not (REPOSITORY / file).is_file() or name not in _names(REPOSITORY / file):
            dead.append(f"{file}, {name}")
    for span in _spans(page):
        if _PATH.fullmatch(span):
            missing = not ((REPOSITORY / span).exists() or list(REPOSITORY.glob(span.rstrip("/"))))
        elif _FILE.fullmatch(span):
            missing = span not in _files()
        elif _MODULE.fullmatch(span):
            missing = not _exists(span)
        elif _TEST.fullmatch(span):
            missing = span not in _tests()
        else:
            missing = False
        if missing:
            dead.append(span)
    return dead


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_a_page_has_no_line_that_is_too_long(page: Path) -> None:
    lines = page.read_text(encoding="utf-8").splitlines()
    definition = re.compile(r"\[[^\]]+\]: \S+")
    long = [
        number for number, line in enumerate(lines, 1) if len(line) > LINE_LENGTH and not definition.fullmatch(line)
    ]
    assert not long


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_what_a_page_links_to_or_names_exists(page: Path) -> None:
    assert not _dead(page)


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, new = set[Path](), {REPOSITORY / "README.md"}
    while new:
        reached |= new
        links = {
            (page.parent / link.partition("#")[0]).resolve() for page in new for link in _LINK.findall(_text(page))
        }
        new = {link for link in links if link.suffix == ".md" and link.exists()} - reached
    assert set(_PAGES) <= reached


@pytest.mark.parametrize(
    "text",
    [
        "[gone](design/gone.md)",
        "[no such heading](#gone)",
        "`serving/gone.py`",
        "`gone.py`",
        "`registry.gone`",
        "`registry.version.Gone`",
        "`test_gone`",
        "1. `serving/app.py`, `Gone`: a step of a walk",
    ],
)
def test_a_dead_name_is_found(tmp_path: Path, text: str) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"# Page\n\n{text}\n", encoding="utf-8")
    assert _dead(page)


def test_names_that_exist_are_accepted(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A page\n\n[top](#a-page) `serving/http/` `tests/infra/test_*.py` `body.py` `registry.version`\n"
        "`registry.version.Version.digest` `test_names_that_exist_are_accepted` `other.thing`\n\n"
        "```\n`serving/gone.py`\n```\n",
        encoding="utf-8",
    )
    assert not _dead(page)
