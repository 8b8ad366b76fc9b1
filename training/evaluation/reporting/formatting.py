"""How figures are written for people."""


def percent(share: float) -> str:
    """Write a share as percent; its sign never stands alone on the next line."""
    return f"{share * 100:.1f}\u00a0%".replace("-", "\u2212")


def points(difference: float) -> str:
    """Write a difference of shares in percentage points, with its sign."""
    return f"{difference * 100:+.1f}".replace("-", "\u2212")
