"""Formats values for people: hashes, shares, sizes, times, counts."""

from rich.text import Text

_KILO = 1024


def printable(text: str) -> str:
    """The text of a log without control characters."""
    return "".join(letter for letter in text if letter.isprintable())


def good(text: str) -> Text:
    """Text that marks a good result."""
    return Text(text, style="green")


def bad(text: str) -> Text:
    """Text that marks a bad result."""
    return Text(text, style="bold red")


def short(digest: str) -> str:
    """A shortened hash: twelve digits, without the algorithm's name."""
    return digest.removeprefix("sha256:")[:12]


def percent(value: float) -> str:
    """A share as a percentage with one decimal."""
    return f"{100 * value:.1f} %"


def size(count: float) -> str:
    """A number of bytes in binary units: `1.2 MiB`."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if count < _KILO:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= _KILO
    return f"{count:.1f} TiB"


def moment(stored: str) -> str:
    """A stored time to the second, in UTC: `2026-08-02 10:15:30`."""
    return stored.partition(".")[0].replace("T", " ").removesuffix("Z")


def plural(count: int, thing: str) -> str:
    """`1 blob`, `2 blobs`."""
    return f"{count:,} {thing}" if count == 1 else f"{count:,} {thing}s"
