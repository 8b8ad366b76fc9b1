"""The endpoint compared with the machine's limit and with other servers."""
