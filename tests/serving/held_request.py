"""A request that is kept inside the model for as long as a test wants."""

import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import pytest


@contextmanager
def held_request(endpoint: Any, monkeypatch: pytest.MonkeyPatch) -> Generator[list[Any]]:
    """While the block runs, one request is inside the active version; behind it, the list has its answer."""
    model = endpoint.live.deployed.model
    inside, go_on = threading.Event(), threading.Event()
    run = type(model.session).outputs

    def held(session: Any, *arguments: Any) -> Any:
        if session is model.session:
            inside.set()
            assert go_on.wait(30)
        return run(session, *arguments)

    monkeypatch.setattr(type(model.session), "outputs", held)
    answers: list[Any] = []
    request = threading.Thread(target=lambda: answers.append(endpoint.classify()))
    request.start()
    try:
        assert inside.wait(30)
        yield answers
    finally:
        go_on.set()
        request.join(30)
