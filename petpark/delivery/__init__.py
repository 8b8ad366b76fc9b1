"""Deployment of reviewed plans, drift reports and removal of expired stacks. Nothing here prints."""
