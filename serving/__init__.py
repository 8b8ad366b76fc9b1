"""A version to answers to telemetry."""
