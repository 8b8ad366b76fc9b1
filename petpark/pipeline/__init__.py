"""Executions of the pipeline: started, followed, tried again; and the decision that they wait for."""
