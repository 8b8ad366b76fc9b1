"""What the benchmarks share: servers and references to measure against, and how figures are taken and shown."""

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # see serving/__init__.py
