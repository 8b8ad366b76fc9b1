"""Frames: a camera's stream, which frames are sent to the endpoint, and when they were taken."""
