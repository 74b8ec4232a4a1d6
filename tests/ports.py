"""Ports for servers that are told theirs: processes that end and come back, or that others wrote."""

from __future__ import annotations

import random
import socket

FIRST, LAST = 20_000, 32_000
"""Below the ports that systems give to whoever asks for any: no other test's server gets one when this one is dead."""


def free_port() -> int:
    """A port of the loopback address that nobody listens at."""
    while True:
        port = random.randrange(FIRST, LAST)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
