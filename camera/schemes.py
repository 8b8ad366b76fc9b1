"""How a camera may be reached: the one table of schemes."""

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
"""Scheme to what FFmpeg may open for it: no stream or playlist leads it from the network to files, or back."""
