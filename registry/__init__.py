"""Immutable versions, channels and certificates on a plain object store."""
