"""The program of a job's instance: reads its order, does the work, and answers the state machine `job`.

The contract is in `docs/design/pipeline.md`. Training instances have the packages of `requirements/training.txt` and no
others, so nothing here may import typer, rich or Pulumi.
"""
