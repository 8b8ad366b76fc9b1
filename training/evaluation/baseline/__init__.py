"""A new version compared with the one in production, on photos that neither learned from."""
