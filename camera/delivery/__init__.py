"""Events on the local disk, and their upload to the data lake."""
