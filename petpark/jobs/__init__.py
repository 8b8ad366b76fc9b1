"""Training jobs: submit, launch on instances, follow, resume, cancel."""
