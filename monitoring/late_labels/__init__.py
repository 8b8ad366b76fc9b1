"""Delayed labels: samples of photos to label, people's labels, and the accuracy they imply."""
