"""Loopback addresses for instances, derived from the private addresses that the emulator assigned."""

from collections.abc import Iterator


def candidates(private_ip: str) -> Iterator[str]:
    """Addresses for an instance, best first: 10.1.2.3 becomes 127.1.2.3, then 127.2.2.3, 127.3.2.3 …

    Two VPCs may use the same range, so one derived address is not enough. 127.0.0.0/24 is left out: the machine's own
    servers listen there. All addresses are different, and each private address has at least 255 of them.
    """
    second, third, fourth = (int(octet) for octet in private_ip.split(".")[1:])
    for step in range(256):
        network = (second + step) % 256
        if (network, third) != (0, 0):
            yield f"127.{network}.{third}.{fourth}"
