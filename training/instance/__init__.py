"""The instance that a job runs on: metadata, memory, and notices of interruption."""
