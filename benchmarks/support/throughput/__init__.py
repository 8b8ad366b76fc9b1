"""The endpoint beside the machine's limit and beside other servers."""
