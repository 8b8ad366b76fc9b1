"""Model versions: list, compare, test, certify and promote them, and their lineage."""
