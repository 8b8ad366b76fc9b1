"""What the benchmarks share: servers and references to measure against, and how figures are taken and shown."""
