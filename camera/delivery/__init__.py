"""Events on the local disk, and from there into the data lake."""
