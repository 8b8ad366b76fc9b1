"""URL schemes of cameras."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

PROTOCOLS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "rtsp": "rtsp,rtp,tcp",
        "rtsps": "rtsps,rtsp,rtp,tcp,tls",
        "http": "http,tcp",
        "https": "https,http,tcp,tls",
    }
)
"""Scheme -> protocols that FFmpeg may use for it: a network stream cannot open files, nor a file the network."""
