"""Any error as operators see it: outcome, sentence, next step, exit code."""
