"""The last line of defence for secrets: no text leaves the engine with a known secret in it."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Mapping
from typing import Any

from rehearsal.engine.events import SECRET_TEXT

_SHORTEST = 4  # shorter strings are part of ordinary words, and no secrets
# Inside other properties' values only unmistakable secrets are taken out: with "test" for a secret, half of what is
# shown would be blanked. The secret properties themselves are never shown, however short they are.
_UNMISTAKABLE = 8


class Mask:
    """Knows the secrets of an operation and takes them out of texts."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: tuple[str, ...] = ()

    def learn(self, value: Any) -> None:
        """Remember every string inside `value` as secret, in the spellings in which it may turn up."""
        spellings = {spelling for text in _strings(value) for spelling in _spellings(text)}
        with self._lock:
            # Longest first: a secret that contains another is taken out whole.
            self._known = tuple(sorted({*self._known, *spellings}, key=lambda text: (-len(text), text)))

    def text(self, text: str, *, shortest: int = _SHORTEST) -> str:
        """`text` without any known secret of at least `shortest` characters."""
        for secret in self._known:
            if len(secret) >= shortest:
                text = text.replace(secret, SECRET_TEXT)
        return text

    def value(self, value: Any) -> Any:
        """`value` without unmistakable secrets in any string inside it."""
        if isinstance(value, str):
            return self.text(value, shortest=_UNMISTAKABLE)
        if isinstance(value, Mapping):
            return {str(self.value(key)): self.value(inner) for key, inner in value.items()}
        return [self.value(inner) for inner in value] if isinstance(value, list | tuple) else value


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value] if len(value) >= _SHORTEST else []
    if isinstance(value, Mapping):
        return [text for inner in value.values() for text in _strings(inner)]
    if isinstance(value, list | tuple):
        return [text for inner in value for text in _strings(inner)]
    if isinstance(value, int | float) and not isinstance(value, bool) and len(str(value)) >= _SHORTEST:
        return [str(value)]
    return []


def _spellings(text: str) -> set[str]:
    """The string as it is, line by line (diagnostics quote lines), in JSON, in Python, and in base64."""
    lines = {line for line in text.splitlines() if len(line.strip()) >= _UNMISTAKABLE}
    encoded = base64.b64encode(text.encode(errors="surrogatepass")).decode()
    return {text, json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1], repr(text)[1:-1], encoded} | lines
