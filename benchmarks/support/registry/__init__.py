"""The registry compared with transfer tools and another registry; long logs."""
