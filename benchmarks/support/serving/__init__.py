"""Endpoints under load: callers, good and bad, and what happens meanwhile."""
