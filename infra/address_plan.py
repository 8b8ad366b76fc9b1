"""How a stack's address block is divided. Pure."""

import ipaddress


def quarters(cidr: str) -> list[str]:
    """Split an address block into four."""
    return [str(part) for part in ipaddress.IPv4Network(cidr).subnets(prefixlen_diff=2)]
