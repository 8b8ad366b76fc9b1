import ipaddress

from hypothesis import given
from hypothesis import strategies as st

from rehearsal.instances.addresses import candidates

PRIVATE = st.builds(lambda low: str(ipaddress.IPv4Address("10.0.0.0") + low), st.integers(0, 2**24 - 1))


@given(PRIVATE)
def test_an_instance_has_many_different_loopback_addresses_none_of_them_the_machines_own(private_ip: str) -> None:
    addresses = list(candidates(private_ip))

    assert len(set(addresses)) == len(addresses) >= 255
    assert all(ipaddress.ip_address(address).is_loopback for address in addresses)
    assert not any(address.startswith("127.0.0.") for address in addresses)


@given(PRIVATE, PRIVATE)
def test_different_instances_of_one_network_get_different_first_addresses(one: str, other: str) -> None:
    first, second = next(candidates(one)), next(candidates(other))

    machines_own = any(private.startswith("10.0.0.") for private in (one, other))
    assert (first == second) == (one == other) or machines_own


def test_an_address_keeps_the_last_three_octets() -> None:
    assert next(candidates("10.1.2.3")) == "127.1.2.3"
    assert next(candidates("172.31.9.4")) == "127.31.9.4"
