"""What the environment says of hubs: addresses and tokens, checked before anybody uses them.

An empty variable counts as unset. No message shows a token or a password.
"""

from __future__ import annotations

import os
import re
from urllib.parse import urlsplit

from qwen3cli.errors import UsageError
from qwen3cli.models.reference import without_secrets

_VISIBLE = re.compile(r"[!-~]*")


def endpoint_of(variable: str, default: str) -> str:
    """The address of a hub that `variable` names, else `default`, without a slash at its end."""
    return checked_address(os.environ.get(variable, "").strip() or default, variable)


def checked_address(text: str, variable: str) -> str:
    """`text` without a slash at its end; raises `UsageError` for what is no address of a hub."""
    try:
        address = urlsplit(text)
        sound = address.scheme in ("http", "https") and bool(address.hostname) and address.port != 0
    except ValueError:
        raise _no_address(variable, text) from None
    if not sound or not _VISIBLE.fullmatch(text) or any(mark in text for mark in "?#\\"):
        raise _no_address(variable, text)
    if "@" in address.netloc:
        raise UsageError(
            f"`{variable}` has a password in it, which would end up in messages",
            "leave it out of the address",
        )
    return text.rstrip("/")


def _no_address(variable: str, text: str) -> UsageError:
    return UsageError(
        f"`{variable}` is no address of a hub: `{without_secrets(text)[:200]}`",
        "it should look like `https://HOST`",
    )


def secret_of(variable: str) -> str:
    """The token that `variable` holds, without blanks around it; empty where it holds none."""
    return checked_secret(os.environ.get(variable, ""), f"`{variable}`")


def checked_secret(text: str, where: str) -> str:
    """`text` without blanks around it; raises `UsageError` where it could be no part of a header."""
    plain = text.strip()
    if not _VISIBLE.fullmatch(plain):
        raise UsageError(f"{where} holds characters that no token has", "copy it again: it is one word")
    return plain
