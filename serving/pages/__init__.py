"""The endpoint's web pages: try it, cameras, models, API. They load nothing from other origins.

This module needs no server: the labelling page of `petpark labels page` uses the same functions.
"""

import html
import json
import re
from collections.abc import Mapping

LANGUAGES = ("en", "es", "ca")
"""The first is the default."""
PAGES = {"/": "try.html", "/live": "live.html", "/models": "models.html", "/docs": "docs.html"}
ASSETS = ("style.css", "common.js", "try.js", "live.js", "models.js", "docs.js", "icon.svg")

TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
CONTENT_SECURITY_POLICY = (
    "default-src 'self'; img-src 'self' blob:; form-action 'none'; frame-ancestors 'none'; base-uri 'none'; "
    "object-src 'none'"
)

TEXT = re.compile(r'(<[a-z0-9]+\b[^>]*?\bdata-text="([\w.-]+)"[^>]*>)')
"""An element whose content is a text, by its name."""
ATTRIBUTE = re.compile(r'\bdata-(aria-label|placeholder|alt)="([\w.-]+)"')
_RANGE = re.compile(r"([a-z]{2})(?:-[a-z0-9-]+)?(?:\s*;\s*q=([01](?:\.\d{1,3})?))?", re.IGNORECASE)


def framed(frame: str, name: str, content: str) -> str:
    """Returns a page's content in the shared frame."""
    return frame.replace("@page@", name.removesuffix(".html")).replace("@content@", content)


def filled(template: str, texts: Mapping[str, str], language: str) -> bytes:
    """Returns the template with its texts; their names stay, so that the page can change its language.

    The page also contains all texts as data, so that its script needs no further request.
    """

    def attribute(match: re.Match[str]) -> str:
        return f'{match[0]} {match[1]}="{html.escape(texts[match[2]])}"'

    page = ATTRIBUTE.sub(attribute, TEXT.sub(lambda match: match[1] + html.escape(texts[match[2]]), template))
    data = json.dumps(texts, ensure_ascii=False).replace("<", "\\u003c")
    return page.replace('<html lang="en">', f'<html lang="{language}">').replace("@texts@", data).encode()


def preferred(accept_language: str) -> str:
    """Returns the preferred language. https://www.rfc-editor.org/rfc/rfc9110#field.accept-language"""
    wanted: dict[str, float] = {}
    for part in accept_language[:500].split(","):
        if found := _RANGE.fullmatch(part.strip()):
            language, quality = found[1].lower(), float(found[2] or 1)
            wanted[language] = max(quality, wanted.get(language, 0.0))
    return max(LANGUAGES, key=lambda language: wanted.get(language, 0.0))
