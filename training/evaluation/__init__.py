"""What a model is worth, measured on photos it never learned from, with the file that will be served."""
