"""What petpark fetches besides Python packages: verified downloads into `.tools/`. See docs/design/setup.md."""

from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
TOOLS = CHECKOUT / ".tools"
"""Where what was fetched lies; `make clean` removes it."""
