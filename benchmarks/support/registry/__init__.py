"""The registry beside transfer tools and another registry; long logs."""
