import os
from unittest.mock import patch
from urllib.request import proxy_bypass

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from petpark.loopback import LOOPBACK, direct

PROXY = "http://proxy.example:3128"
hosts = st.from_regex(r"[a-z]{1,8}\.(example|internal)", fullmatch=True)
lists = st.lists(hosts, max_size=3).map(", ".join)


@given(lower=st.none() | lists, upper=st.none() | lists, proxy=st.sampled_from(["http_proxy", "HTTPS_PROXY"]))
def test_loopback_is_left_out_of_any_proxy_and_what_the_user_left_out_stays_so(lower, upper, proxy):
    given_ = {proxy: PROXY} | {k: v for k, v in (("no_proxy", lower), ("NO_PROXY", upper)) if v is not None}
    found = direct(given_)
    assert found | given_ == found | {name: given_[name] for name in given_}, "nothing else changes"
    assert found[proxy] == PROXY
    for name in ("no_proxy", "NO_PROXY"):
        listed = found[name].split(",")
        theirs = [entry for entry in (given_.get(name) or lower or upper or "").split(", ") if entry]
        assert set(listed) == {*theirs, *LOOPBACK}
    with patch.dict(os.environ, found, clear=True):
        assert all(proxy_bypass(host) for host in ("127.0.0.1", "127.0.0.1:4566", "localhost"))
        assert not proxy_bypass("aws.example.org")
    assert direct(found) == found


def test_without_a_proxy_nothing_is_added_so_that_the_systems_own_settings_count():
    assert direct({"PATH": "/bin", "HTTP_PROXY": ""}) == {"PATH": "/bin", "HTTP_PROXY": ""}


def test_an_exception_of_everything_stays_one():
    assert direct({"http_proxy": PROXY, "NO_PROXY": "*"})["no_proxy"] == "*"


def test_grpcs_own_list_gets_loopback_too():
    found = direct({"grpc_proxy": PROXY, "no_grpc_proxy": "a.example"})
    assert found["no_grpc_proxy"].split(",") == ["a.example", *LOOPBACK]


def test_httpx_takes_the_list(monkeypatch: pytest.MonkeyPatch):
    for name, value in direct({"HTTP_PROXY": PROXY, "ALL_PROXY": PROXY}).items():
        monkeypatch.setenv(name, value)
    client = httpx.Client()
    direct_transport = client._transport_for_url(httpx.URL("http://127.0.0.1:1/"))
    assert direct_transport is client._transport
    assert client._transport_for_url(httpx.URL("http://aws.example.org/")) is not direct_transport
