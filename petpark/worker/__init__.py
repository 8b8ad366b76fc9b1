"""The program on a job's instance: reads the order, runs it, and reports the result to the state machine `job`.

The contract is in `docs/design/pipeline.md`. Training instances have only the packages of `requirements/training.txt`,
so nothing here may import typer, rich or Pulumi.
"""
