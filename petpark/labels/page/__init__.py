"""The files of the labelling page; `petpark.labels.server` serves them."""
