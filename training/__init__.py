"""Photos to dataset to model to report to version."""

import os

# Threads that wait for each other shall sleep, not spin: where other processes want the cores too, spinning made
# training twenty times slower here, and where none do, sleeping costs nothing that could be measured. OpenMP reads
# this when torch is loaded, so it must be said before.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
