"""Metrics with intervals: accuracy, calibration, robustness, slices, latency."""
