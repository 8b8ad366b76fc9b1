"""The camera agent: from frames to visits. See docs/design/camera.md."""
