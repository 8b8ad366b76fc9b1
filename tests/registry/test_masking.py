"""No text shows a secret, whatever characters it has and wherever in an address it stands."""

import json
import logging
from urllib.parse import quote, unquote

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from camera.settings import AgentSettings, SettingsInvalid, load_settings, parse_settings, parse_source
from registry.masking import Address, AddressUnclear, Secrets, shown_address
from serving.logs import JsonLines
from tests.examples import examples

HOST = "192.0.2.7:554"
AROUND = f"""rtsp://…@{HOST}/… {{"a": [{{"b": "…"}}]}} cannot open …: no"""

typed = st.text(st.characters(min_codepoint=33, exclude_categories=("Cs",)), min_size=4, max_size=12) | st.text(
    "ab1#/?[]@:%&=+", min_size=4, max_size=12
)
shapes = st.sampled_from(
    [
        "rtsp://{user}:{secret}@" + HOST + "/stream1",
        "rtsp://{secret}@" + HOST,
        "http://{user}:{secret}@" + HOST + "/video?channel=1",
        "http://{user}:{secret}@[::1]:80/video",
        "rtsp://" + HOST + "/live?user={user}&password={secret}",
        "rtsp://" + HOST + "/user={user}&password={secret}&channel=1.sdp",
        "rtsp://u:p@" + HOST + "/live?token={secret}",
    ]
)


def fitting(shape: str, value: str) -> str:
    """In path and query a value must not end early; a camera could not tell either."""
    return value if "@" in shape and "={secret}" not in shape else quote(value, safe="")


@settings(max_examples=examples(80))
@given(typed, shapes)
@example("pa#ss", "rtsp://{user}:{secret}@" + HOST)
@example("pa/ss", "rtsp://{user}:{secret}@" + HOST)
@example("pa?ss", "rtsp://{user}:{secret}@" + HOST)
@example("pa[ss", "rtsp://{user}:{secret}@" + HOST)
def test_no_text_shows_what_an_address_keeps_secret(secret, shape):
    assume(secret not in AROUND and secret not in shape)
    url = shape.format(user="mia", secret=fitting(shape, secret))
    assert secret not in shown_address(url)
    read, refusal = settings_or_refusal(url)
    if read is None:
        assert secret not in refusal
        return
    secrets = read.secrets
    spellings = {url, Address.parse(url).encoded, f"{secret}!", f"{quote(secret, safe='')}!", f"cannot open {url}: no"}
    told = [secrets.hide(text) for text in spellings]
    told += [json.dumps(secrets.hide_in({"a": [{"b": text}]}), ensure_ascii=False) for text in spellings]
    told.append(repr(read))
    told.append(JsonLines(secrets).format(lost(url)))
    assume(secret not in JsonLines().format(lost("")) + repr(settings_or_refusal("rtsp://" + HOST)))
    assert not [text for text in (*told, *map(unquote, told)) if secret in text]


def lost(url: str) -> logging.LogRecord:
    error = OSError(2, "No such file", url)
    return logging.makeLogRecord(
        {"created": 0, "msg": "lost %s", "args": (url,), "exc_info": (OSError, error, None), "reason": url}
    )


def settings_or_refusal(url: str) -> tuple[AgentSettings | None, str]:
    try:
        return parse_settings({"home": "/h", "cameras": [{"name": "gate", "url": url}]}, where="x"), ""
    except SettingsInvalid as error:
        return None, str(error)


def address_or_refusal(url: str) -> tuple[Address | None, str]:
    try:
        return Address.parse(url), ""
    except AddressUnclear as error:
        return None, str(error)


@settings(max_examples=examples(80))
@given(typed, st.sampled_from(["", "/", "/stream1", "/live?channel=1"]))
def test_a_password_is_taken_as_it_was_typed_or_the_address_is_refused(password, rest):
    address, refusal = address_or_refusal(f"rtsp://mia:{password}@{HOST}{rest}")
    if address is None:
        assert {"@", "/", "?", "#"} & set(password)
        assert password not in refusal
        return
    if "@" not in password:
        assert (address.user, address.password) == ("mia", password)
        assert (address.host, address.rest) == (HOST, rest)
    again = Address.parse(address.encoded)
    assert unquote(again.password or "") == unquote(address.password or "")
    assert (again.host, again.rest) == (address.host, address.rest)


@pytest.mark.parametrize(
    ("url", "user", "password", "host"),
    [
        ("rtsp://host/stream@1", None, None, "host"),
        ("rtsp://[fe80::1%25eth0]:554/x", None, None, "[fe80::1%25eth0]:554"),
        ("rtsp://mia:p@w@host/x", "mia", "p@w", "host"),
        ("rtsp://mia:a#b/c?d[e@host:554/x", "mia", "a#b/c?d[e", "host:554"),
        ("rtsp://mia@host", "mia", None, "host"),
        ("rtsp://mia:@host", "mia", "", "host"),
        ("RTSP://mia:p%40w@host", "mia", "p%40w", "host"),
    ],
)
def test_addresses_are_taken_apart_as_people_write_them(url, user, password, host):
    address = Address.parse(url)
    assert (address.scheme, address.user, address.password, address.host) == ("rtsp", user, password, host)


@pytest.mark.parametrize(
    "url", ["rtsp://u:pass/w@rd@host/x", "rtsp://u:pass@host/x?mail=a@b", "rtsp://host:554/x@y", "rtsp://", "http://u@"]
)
def test_an_address_with_two_readings_is_refused_and_says_how_to_write_it(url):
    with pytest.raises(AddressUnclear, match=r"%40|%2F") as refused:
        Address.parse(url)
    assert "pass" not in str(refused.value).replace("password", "")
    assert shown_address(url).endswith("://…")


@pytest.mark.parametrize(
    "text",
    [
        "cameras: [{name: gate, url: rtsp://u:hunter22@h, : }",
        "cameras: ['rtsp://u:hunter22@h']",
        "cameras: rtsp://u:hunter22@h",
        "home: /h\ncameras: [{name: gate, url: ['rtsp://u:hunter22@h']}]",
        "home: /h\ncameras: [{name: gate, url: 'gopher://u:hunter22@h'}]",
        "home: /h\ncameras: [{name: gate, url: 'rtsp://u:hunter22@h/a@b'}]",
        "home: /h\ncameras: [{name: gate, url: x, 'rtsp://u:hunter22@h': 1}]",
        "home: /h\nendpoint: 'ftp://u:hunter22@h'\ncameras: [{name: gate, url: x}]",
        "home: /h\nendpoint: 'http://u:hunter22@[h'\ncameras: [{name: gate, url: x}]",
        "home: &hunter22 /h\ncameras: *hunter2222",
    ],
)
def test_no_refusal_of_settings_quotes_an_address(tmp_path, text):
    (tmp_path / "cameras.yaml").write_text(text)
    with pytest.raises(SettingsInvalid) as refused:
        load_settings(tmp_path / "cameras.yaml", overrides={})
    assert "hunter22" not in str(refused.value)


def test_a_source_without_a_name_is_refused_without_its_address():
    with pytest.raises(SettingsInvalid) as refused:
        parse_source("rtsp://u:hunter22@h")
    assert "hunter22" not in str(refused.value)


def test_without_secrets_a_text_stays_as_it_is_and_short_ones_hide_no_words():
    assert Secrets().hide("a text") == "a text"
    assert Secrets(["at"]).hide("a cat sat") == "a cat sat"
    assert Secrets(["long", "longer"]).hide("longer") == "…"
