"""Bad clients next to good ones, until stopped, and their results."""

import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Self

from benchmarks.support.serving.bad_clients import Manner, manners


@dataclass(frozen=True)
class Turn:
    """Manners that come from one address, one after the other."""

    host: str
    manners: tuple[Manner, ...]


class Load:
    """One thread for each turn; `every`: seconds between two acts of it."""

    def __init__(self, port: int, turns: Sequence[Turn], *, every: float) -> None:
        self._port, self._every = port, every
        self.met: Counter[tuple[str, str]] = Counter()
        """How often each manner met which end."""
        self.manners = tuple(manner for turn in turns for manner in turn.manners)
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(turn,)) for turn in turns]

    @property
    def unexpected(self) -> list[str]:
        """Ends that no manner may meet, and manners that met none."""
        expected = {manner.name: manner.expected for manner in self.manners}
        wrong = [f"{name}: {end}, {n} times" for (name, end), n in self.met.items() if end not in expected[name]]
        seen = {name for name, _ in self.met}
        return wrong + [f"{manner.name}: never tried" for manner in self.manners if manner.name not in seen]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, turn: Turn) -> None:
        for manner in cycle(turn.manners):
            end = manner.meet(self._port, turn.host)
            self.met[manner.name, end] += 1
            if self._stop.wait(self._every):
                return


def crowd(port: int, photo: bytes, *, every: float) -> Load:
    """All manners from one address: the quick ones in turns, each lasting one by itself."""
    known = manners(photo)
    quick = tuple(manner for manner in known if not manner.lasting)
    turns = [quick, *((manner,) for manner in known if manner.lasting)]
    return Load(port, [Turn("127.0.0.1", turn) for turn in turns], every=every)
