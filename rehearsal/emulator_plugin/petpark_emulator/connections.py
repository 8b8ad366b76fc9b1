"""Connections stay open.

AWS keeps a connection for later requests. LocalStack closes it after every answer, and its server after 5 idle seconds;
an SDK whose connection closes under a request cannot know whether the request was carried out, and sends it again:
a second `Create...` is then refused as a duplicate. See `__main__` for the idle time.
"""


def apply() -> None:
    """Leave out LocalStack's `Connection: close`. To be called before the gateway is made."""
    from localstack.aws import handlers
    from localstack.utils.aws import aws_stack

    aws_stack.CACHE_S3_HOSTNAME_DNS_STATUS = False  # or its clients ask public DNS for a host name of their own
    handlers.set_close_connection_header = lambda _chain, _context, _response: None
