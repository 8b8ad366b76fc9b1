"""The agent beside a camera: frames in, visits out. See docs/design/camera.md."""
