"""Callers remember what they got, and from whom."""

import socket
import threading
import time
from pathlib import Path

import numpy as np

from benchmarks.support.serving.callers import ANSWER, Callers
from benchmarks.support.serving.in_force import foreign_answers

OK = b'HTTP/1.1 200 OK\r\ncontent-length: 27\r\n\r\n{"model": {"version": 7 } }'


def test_a_connection_that_breaks_off_is_a_request_without_an_answer(tmp_path: Path):
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(b"x" * 100)
    with socket.create_server(("127.0.0.1", 0)) as server, Callers(server.getsockname()[1], photo, connections=1) as on:
        for answers in ((OK, OK, OK[:20]), (OK, b"HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n")):
            line, _ = server.accept()
            with line:
                for answer in answers:
                    assert line.recv(65536).startswith(b"POST /v1/classify")
                    line.sendall(answer)
                    time.sleep(0.05)
        finishing = threading.Thread(target=server.close)
        finishing.start()
        got = on.finish()
        finishing.join()
    assert got["status"][:5].tolist() == [200, 200, 0, 200, 503]
    assert got["version"][:5].tolist() == [7, 7, 0, 7, 0]


def test_an_answer_is_foreign_where_its_version_was_in_force_at_no_moment_of_the_request():
    swaps = [{"at": 100.0, "version": 1}, {"at": 200.0, "version": 2}]
    answers = np.array(
        [
            (150.0, 1.0, 200, 1),
            (199.0, 5.0, 200, 1),  # begun before the swap, ended after it: both may answer
            (199.0, 5.0, 200, 2),
            (250.0, 1.0, 200, 1),
            (150.0, 1.0, 200, 2),
            (150.0, 1.0, 503, 0),
        ],
        dtype=ANSWER,
    )
    assert foreign_answers(answers, swaps) == 2
