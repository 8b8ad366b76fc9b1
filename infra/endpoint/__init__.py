"""Inference endpoints: one instance, or a group of instances behind a load balancer; their metrics and alarms."""
