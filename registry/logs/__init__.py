"""Append-only logs of write-once objects, chained by hashes."""
