"""Callers with bad manners, beside the good ones, until told to stop."""

import threading
from collections import Counter
from itertools import cycle
from typing import Self

from benchmarks.support.manners import Manner, manners


class Crowd:
    """One thread for all quick manners in turns, one for each lasting one."""

    def __init__(self, port: int, photo: bytes, *, every: float) -> None:
        self._port, self._every = port, every
        self.met: Counter[tuple[str, str]] = Counter()
        """How often each manner met which end."""
        self.manners = manners(photo)
        self._stop = threading.Event()
        quick = tuple(manner for manner in self.manners if not manner.lasting)
        turns = [quick, *((manner,) for manner in self.manners if manner.lasting)]
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

    def _run(self, turn: tuple[Manner, ...]) -> None:
        for manner in cycle(turn):
            end = manner.meet(self._port)
            self.met[manner.name, end] += 1
            if self._stop.wait(self._every):
                return
