"""Downloads through a proxy, over TLS, and after a redirect."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from petpark.downloads.errors import ArchiveMissing, PublisherUnreachable
from petpark.downloads.fetch import shown_url
from tests.loopback_publisher import Answer, Publisher, certificate, proxy, publisher
from tests.petpark.downloads.conftest import CONTENT, NAME, SHA, get


def test_a_redirect_is_followed_but_not_out_of_tls(server: Publisher, tmp_path: Path) -> None:
    server.files["/moved"] = b""
    server.answers = [Answer(status=302, headers={"location": f"/{NAME}"})]
    assert get(server, tmp_path) == SHA


def test_the_proxy_of_the_environment_is_used(
    server: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with proxy(server.url) as between:
        monkeypatch.setenv("HTTP_PROXY", between.url)
        assert get("http://publisher.test", tmp_path) == SHA
        assert between.asked == [f"GET http://publisher.test/{NAME}"]


def test_what_no_proxy_names_goes_around_it_and_so_does_loopback(
    server: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = server.url.rpartition(":")[2]
    resolve = socket.getaddrinfo

    def everything_is_here(_host: Any, *rest: Any, **more: Any) -> Any:
        return resolve("127.0.0.1", *rest, **more)

    with proxy(server.url) as between:
        monkeypatch.setenv("HTTP_PROXY", between.url)
        assert get(server, tmp_path) == SHA
        (tmp_path / NAME).unlink()
        monkeypatch.setenv("NO_PROXY", "publisher.test")
        monkeypatch.setattr(socket, "getaddrinfo", everything_is_here)
        assert get(f"http://publisher.test:{port}", tmp_path) == SHA
        assert between.asked == []


def test_tls_through_a_proxy_trusts_the_authority_that_is_named_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, authority = certificate(tmp_path, "publisher.test")
    folder = tmp_path / "there"
    folder.mkdir()
    with publisher(context) as server, proxy(server.url) as between:
        server.files[f"/{NAME}"] = CONTENT
        monkeypatch.setenv("HTTPS_PROXY", between.url)
        with pytest.raises(PublisherUnreachable) as refused:
            get("https://publisher.test", folder)
        assert "SSL_CERT_FILE" in refused.value.next_step
        monkeypatch.setenv("SSL_CERT_FILE", str(authority))
        assert get("https://publisher.test", folder) == SHA
        assert set(between.asked) == {"CONNECT publisher.test:443"}


def test_tls_is_not_left_by_a_redirect(server: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context, authority = certificate(tmp_path, "publisher.test")
    with publisher(context) as secure, proxy(secure.url) as between:
        secure.answers = [Answer(status=302, headers={"location": f"{server.url}/{NAME}"})]
        monkeypatch.setenv("HTTPS_PROXY", between.url)
        monkeypatch.setenv("SSL_CERT_FILE", str(authority))
        with pytest.raises(ArchiveMissing, match="without TLS"):
            get("https://publisher.test", tmp_path)


def test_a_proxy_that_cannot_be_used_is_named(
    server: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "ftp://proxy.test")
    with pytest.raises(PublisherUnreachable, match="proxy") as refused:
        get(server, tmp_path)
    assert "HTTP_PROXY" in refused.value.next_step


def test_certificates_that_cannot_be_read_are_named(
    server: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for certificates in (tmp_path / "nowhere", Path(__file__)):
        monkeypatch.setenv("SSL_CERT_FILE", str(certificates))
        with pytest.raises(PublisherUnreachable, match="SSL_CERT_FILE"):
            get(server, tmp_path)


def test_a_password_in_an_address_is_not_shown() -> None:
    assert shown_url("https://me:secret@mirror.test/a") == "https://mirror.test/a"
