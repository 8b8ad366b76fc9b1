"""Channels: which version each environment runs, who may change that, and experiments."""
