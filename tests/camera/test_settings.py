"""What an agent is told, and how it says that it cannot be so."""

import contextlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from camera.settings import EXAMPLE, SettingsInvalid, load_settings, parse_settings, parse_source
from tests.examples import examples

GATE = {"name": "gate", "url": "rtsp://192.0.2.7/stream1"}
GOOD = {"home": "/srv/camera", "cameras": [GATE]}


def test_the_example_is_one_that_works(tmp_path):
    path = tmp_path / "cameras.yaml"
    path.write_text(EXAMPLE)
    read = load_settings(path, overrides={"port": 9000, "blur": None})
    assert (read.port, read.data_lake, read.blur) == (9000, "my-data-lake-bucket", "found")
    assert read.cameras[0].url == "rtsp://user:password@192.0.2.7/stream1"


def test_json_is_yaml_and_every_setting_is_taken():
    read = parse_settings(
        {
            **GOOD,
            "retention_hours": 1,
            "answer_seconds": 30,
            "api_key_file": "/etc/petpark/key",
            "cameras": [{**GATE, "enter": 0.9, "stay": 0.7, "per_second": 2, "background": ["nobody"]}],
        },
        where="x",
    )
    assert (read.retention_hours, read.answer_seconds, read.api_key_file) == (1, 30, Path("/etc/petpark/key"))
    rules = read.cameras[0].rules
    assert (rules.enter, rules.stay, rules.background) == (0.9, 0.7, frozenset({"nobody"}))
    assert read.home == Path("/srv/camera")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"cameras": []}, "at least one camera"),
        ({"cameras": ["gate"]}, "expected `name` and `url`"),
        ({"cameras": [{**GATE, "name": "The Gate"}]}, "lower-case letters"),
        ({"cameras": [{"name": "gate"}]}, "the camera's URL or a file"),
        ({"cameras": [{**GATE, "url": "gopher://x"}]}, "rtsp://, rtsps://"),
        ({"cameras": [{**GATE, "url": "concat:/etc/passwd"}], "blur": "no"}, "found or everything"),
        ({"cameras": [{**GATE, "stay": 0.9}]}, "at most `enter`, which is 0.8"),
        ({"cameras": [{**GATE, "enter": "high"}]}, "a number from 0 to 1"),
        ({"cameras": [{**GATE, "background": "none"}]}, "a list of labels"),
        ({"cameras": [{**GATE, "fps": 5}]}, "`fps` is not a setting. Available: background"),
        ({"cameras": [GATE, GATE]}, "two cameras have the name gate"),
        ({"endpoint": "127.0.0.1:8080"}, "http://127.0.0.1:8080"),
        ({"port": 0}, "a number from 1 to 65535"),
        ({"retention_hours": True}, "a number from"),
        ({"spool_bytes": 1}, "a number from"),
        ({"home": None}, "the folder in which events are stored"),
        ({"bucket": "x"}, "`bucket` is not a setting"),
    ],
)
def test_what_is_wrong_is_named_with_what_would_be_right(change, said):
    with pytest.raises(SettingsInvalid, match="the file") as refused:
        parse_settings({**GOOD, **change}, where="the file")
    assert said in str(refused.value)


@pytest.mark.parametrize("text", ["", "- gate", "cameras: [", "\x00", "cameras: {}\ncameras: {}"])
def test_a_file_that_is_none_is_said(tmp_path, text):
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(SettingsInvalid, match=r"c\.yaml"):
        load_settings(tmp_path / "c.yaml", overrides={})
    with pytest.raises(SettingsInvalid, match=r"absent\.yaml: No such file"):
        load_settings(tmp_path / "absent.yaml", overrides={})


@pytest.mark.parametrize("text", ["gate", "=rtsp://x", "gate=", "The Gate=rtsp://x"])
def test_a_source_that_is_no_name_and_address_is_said(text):
    with pytest.raises(SettingsInvalid, match="NAME=ADDRESS"):
        parse_source(text)
    assert parse_source("gate=rtsp://x/?a=b") == {"name": "gate", "url": "rtsp://x/?a=b"}


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=True) | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
FIELD = st.sampled_from(["endpoint", "home", "data_lake", "port", "spool_bytes", "retention_hours", "blur", "cameras"])


@settings(max_examples=examples(60))
@given(JSON, FIELD)
def test_whatever_stands_in_a_file_ends_in_settings_or_in_a_sentence(value, field):
    for document in (
        value,
        {**GOOD, field: value},
        {**GOOD, "cameras": [value]},
        {**GOOD, "cameras": [{**GATE, "url": value}]},
    ):
        with contextlib.suppress(SettingsInvalid):
            parse_settings(document, where="the file")
