"""Log lines are JSON, and a log service that is away costs nothing but lines."""

import json
import logging

import pytest
from botocore.exceptions import EndpointConnectionError

from registry.masking import Secrets
from serving.logs import JsonLines, log_to_cloudwatch, log_to_stdout


def line(**extra):
    record = logging.makeLogRecord(
        {"name": "serving", "levelname": "INFO", "msg": "hello %s", "args": ("park",), "created": 0.0, **extra}
    )
    return json.loads(JsonLines().format(record))


def test_a_line_is_one_json_object_with_everything_that_was_passed():
    assert line(version=7, digest="sha256:1") == line() | {"version": 7, "digest": "sha256:1"}
    assert line()["message"] == "hello park"
    assert line()["time"].endswith("+00:00")


def test_an_exception_stays_on_its_line():
    with pytest.raises(ValueError) as caught:
        int("broken")
    error = caught.value
    text = JsonLines().format(logging.makeLogRecord({"exc_info": (type(error), error, error.__traceback__)}))
    assert "\n" not in text
    assert "ValueError: invalid literal" in json.loads(text)["exception"]


class UnreachableClient:
    """A CloudWatch that cannot be reached."""

    class exceptions:
        class ClientError(Exception):
            pass

    def __init__(self):
        self.calls = 0

    def put_log_events(self, **_):
        self.calls += 1
        raise EndpointConnectionError(endpoint_url="https://logs")


@pytest.mark.filterwarnings("ignore:Failed to deliver logs")
def test_a_cloudwatch_that_is_away_neither_raises_nor_blocks():
    root = logging.getLogger()
    before = list(root.handlers)
    client = UnreachableClient()
    try:
        log_to_cloudwatch(client, group="petpark", stream="one")
        (handler,) = set(root.handlers) - set(before)
        assert vars(handler)["send_interval"] == 5, "seconds until a line can be read; watchtower's own are 60"
        logging.getLogger("serving").error("still here")
    finally:
        for handler in set(root.handlers) - set(before):
            handler.close()
            root.removeHandler(handler)
    assert client.calls > 0


def test_standard_output_has_every_line_from_info_up_once_and_no_secret(capsys, monkeypatch):
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [logging.StreamHandler()])
    level = root.level
    try:
        log_to_stdout(Secrets(["hunter2-hunter2"]))
        logging.getLogger("serving").debug("too much")
        logging.getLogger("serving").info("the key is %s", "hunter2-hunter2", extra={"address": "a?hunter2-hunter2"})
        assert root.level == logging.INFO
    finally:
        root.setLevel(level)
    (written,) = capsys.readouterr().out.splitlines()
    line = json.loads(written)
    assert (line["message"], line["address"], line["level"]) == ("the key is …", "a?…", "info")
    assert capsys.readouterr().err == ""
