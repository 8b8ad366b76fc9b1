"""Every fuzz target over what it starts from, each seed cut and damaged a little, and over what fuzzing found."""

import io
import random
import tarfile
from pathlib import Path

import pytest

from tests.fuzz.mutate import by_bytes, png_checksums, tar_checksums
from tests.fuzz.targets import TARGETS

SOURCE = random.Random
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


@pytest.mark.parametrize("name", [name for name, target in TARGETS.items() if target.mutate])
def test_what_a_target_changes_passes_the_first_checks_and_ends_in_a_value_or_a_named_error(name):
    target = TARGETS[name]
    assert target.mutate
    for seed in target.seeds():
        for number in range(30):
            source = SOURCE(number)
            target.play(target.mutate(by_bytes(seed, source) if number % 2 else seed, source))


def test_checksums_are_right_after_a_change():
    (seed, *_) = TARGETS["archive"].seeds()
    broken = b"x" + seed[1:]
    with pytest.raises(tarfile.ReadError), tarfile.open(fileobj=io.BytesIO(broken)):
        pass
    with tarfile.open(fileobj=io.BytesIO(tar_checksums(broken, SOURCE(0)))) as repaired:
        assert repaired.getnames()[0] == "xat/a.jpg"
    png = next(seed for seed in TARGETS["photo"].seeds() if seed.startswith(b"\x89PNG"))
    assert png_checksums(png[:29] + b"\0\0\0\0" + png[33:], SOURCE(0)) == png
