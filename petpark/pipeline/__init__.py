"""Executions of the pipeline: start, follow, retry, and answer their request for certification."""
