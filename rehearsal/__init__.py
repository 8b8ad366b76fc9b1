"""The cloud on one machine: emulator, deployment engine, instances as processes."""
