"""Applying what was reviewed, and what differs afterwards. Nothing here prints."""
