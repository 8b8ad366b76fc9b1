"""Buckets: the data lake, the model store, and access logs."""
