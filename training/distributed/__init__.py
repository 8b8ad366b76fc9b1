"""Distributed training: several processes on one instance or on several."""
