"""Who is near is found without comparing all, and never missed."""

from hypothesis import given
from hypothesis import strategies as st

from training.dataset.near import NEAR, Hashes

bits = st.sets(st.integers(0, 63), max_size=5)
looks = st.integers(0, 2**64 - 1)


def plain(look: int) -> bool:
    return look.bit_count() <= 5 or look.bit_count() >= 59


@given(st.lists(looks, min_size=1, max_size=4), st.lists(st.tuples(st.integers(0, 3), bits), max_size=20))
def test_the_index_finds_what_comparing_all_finds(scenes: list[int], variants: list[tuple[int, set[int]]]):
    every = scenes + [scenes[which % len(scenes)] ^ sum(1 << bit for bit in flips) for which, flips in variants]
    hashes = Hashes([f"{look:016x}" for look in every])
    for place, look in enumerate(every):
        near = [n for n, other in enumerate(every) if (look ^ other).bit_count() <= NEAR and not plain(other)]
        assert hashes.near(place).tolist() == ([] if plain(look) else near)


def test_the_distance_counts_bits():
    assert Hashes(["000000000000000f", "00000000000000f0"]).distance(0, 1) == 8
