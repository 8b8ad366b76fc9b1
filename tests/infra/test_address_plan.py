import ipaddress

from hypothesis import given
from hypothesis import strategies as st

from infra.address_plan import quarters


@given(st.integers(16, 22), st.integers(0, 2**24 - 1))
def test_quarters_fill_the_block_and_do_not_overlap(prefix, address):
    block = ipaddress.IPv4Network((f"10.{address >> 16}.{address >> 8 & 255}.{address & 255}", prefix), strict=False)
    parts = [ipaddress.IPv4Network(part) for part in quarters(str(block))]
    assert list(ipaddress.collapse_addresses(parts)) == [block]
    assert len(parts) == 4
    assert all(part.num_addresses >= 256 for part in parts)
