"""The endpoint: serves a version over HTTP and gRPC."""

import os

# ONNX Runtime's builds for Linux and macOS otherwise keep a device id and a store of events in the user's cache folder
# and send them to Microsoft: also from machines next to cameras. It reads this once, when it is loaded.
# https://github.com/microsoft/onnxruntime/blob/main/docs/Privacy.md
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
