"""The agent next to a camera: frames in, visits out. See docs/design/camera.md."""
