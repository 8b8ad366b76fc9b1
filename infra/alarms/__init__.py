"""Alarms: rules, metrics, EventBridge rules and actions."""
