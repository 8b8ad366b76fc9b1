"""Delayed labels: samples of recorded predictions, the labelling page, and exports."""
