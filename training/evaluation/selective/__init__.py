"""Selective classification: when a version abstains, and how well that works on unseen groups."""
