"""The lifecycle as AWS runs it: state machines for jobs and for the pipeline, their triggers, and the janitor."""
