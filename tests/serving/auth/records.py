"""A record of an API key, as it is stored."""

RECORD = {
    "hash": "0" * 64, "rate": 0.5, "burst": 3, "created": "2026-01-01T01:00:00+01:00", "expires": None,
    "scopes": ["classify"],
}  # fmt: skip
