"""Read facts from a deployed stack's stored data."""
