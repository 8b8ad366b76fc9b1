"""Photos to dataset to model to report to version."""

import os

# Threads that wait for each other must sleep, not spin: where other processes want the cores too, spinning made
# training twenty times slower here, and where none do, sleeping costs nothing that could be measured. OpenMP reads
# this when torch is loaded, so it must be said before.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# ONNX Runtime's builds for Linux and macOS otherwise keep a device id and a store of events in the user's cache folder
# and send them to Microsoft. It reads this once, when it is loaded.
# https://github.com/microsoft/onnxruntime/blob/main/docs/Privacy.md
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
