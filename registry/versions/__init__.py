"""Versions: published, fetched and verified, compared; what their probabilities mean."""
