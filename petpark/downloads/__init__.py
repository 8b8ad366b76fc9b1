"""What petpark downloads besides Python packages, verified, into `.tools/`. See docs/design/setup.md."""

from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
TOOLS = CHECKOUT / ".tools"
"""Where downloaded programs are; `make clean` removes it."""
