"""Every fuzz target over what it starts from, each seed cut and damaged a little, and over what fuzzing found."""

from pathlib import Path

import pytest

from tests.fuzz.targets import TARGETS

CORPUS = Path(__file__).with_name("corpus")


@pytest.mark.parametrize("name", list(TARGETS))
def test_bytes_from_outside_end_in_a_value_or_a_named_error(name):
    target = TARGETS[name]
    seeds = [*target.seeds(), *(path.read_bytes() for path in sorted(CORPUS.glob(f"{name}/*")))]
    assert seeds
    for seed in seeds:
        target.play(seed)
        for place in (0, len(seed) // 3, len(seed) // 2, len(seed) - 1):
            target.play(seed[:place])
            target.play(seed[:place] + bytes([seed[place] ^ 0x55]) + seed[place + 1 :])


def test_the_corpus_is_small_and_belongs_to_targets():
    files = [path for path in CORPUS.rglob("*") if path.is_file()]
    assert {path.parent.name for path in files} <= set(TARGETS)
    assert sum(path.stat().st_size for path in files) < 20_000
