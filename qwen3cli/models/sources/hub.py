"""What every hub gives: the files of a repository at one revision, where each is, and what its refusals mean.

Knows no hub. Errors of hubs are ours from here on.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from qwen3cli.errors import NetworkError
from qwen3cli.models.variants import HubFile

if TYPE_CHECKING:
    from qwen3cli.errors import QwenError
    from qwen3cli.models.download import RemoteFile
    from qwen3cli.models.http import HttpRefusal


class Unreachable(NetworkError):
    """A hub that does not answer at all, so that another one may be tried."""


@dataclass(frozen=True)
class Listing:
    """A repository at one revision; `source` is how it is referred to, `license` as the hub's tags have it."""

    source: str
    revision: str
    files: tuple[HubFile, ...]
    license: str = ""


class Hub(Protocol):
    """A repository on a hub."""

    @property
    def title(self) -> str:
        """What the hub is called."""
        ...

    def listing(self) -> Listing:
        """What it holds now. Raises `Unreachable`, `NetworkError`, `ModelNotFound`."""
        ...

    def remote(self, listing: Listing, file: HubFile) -> RemoteFile:
        """What to ask for to get `file`."""
        ...

    def cached(self, listing: Listing, file: HubFile) -> Path | None:
        """The file as another program of this machine has downloaded it already."""
        ...

    def explain(self, refusal: HttpRefusal) -> QwenError:
        """What a refused request means, and what to do about it."""
        ...


def odd_answer(title: str) -> NetworkError:
    """What to raise when a hub answers, but not as it should."""
    return NetworkError(
        f"{title} did not answer as it usually does",
        "check the endpoint that is set, or whether a login page of the network stands in between",
    )
