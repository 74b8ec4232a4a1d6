"""What every hub gives: the files of a repository at one revision, where each is, and what its refusals mean.

Knows no hub. What a listing says is untrusted: numbers and checksums are checked here, and paths that no file of a
model has are left out. Errors of hubs are ours from here on.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from qwen3cli.errors import NetworkError
from qwen3cli.models.hitches import Barrier, Hitch, HttpRefusal
from qwen3cli.models.variants import HubFile

if TYPE_CHECKING:
    from qwen3cli.errors import QwenError
    from qwen3cli.models.download import RemoteFile

MOST_PAGES: Final = 50
MOST_ENTRIES: Final = 20_000
_LARGEST: Final = 1 << 50
_UNFIT = re.compile(r"[\0-\x1f\x7f-\x9f\ud800-\udfff\\]|(?:^|/)\.{0,2}(?:/|$)")
"""In a path: what no terminal, URL or system takes, and parts that lead elsewhere."""
_HINT: Final = "check the connection, or try again later"


class Unreachable(NetworkError):
    """A hub that does not answer at all, so that another one may be tried."""


@dataclass(frozen=True)
class Listing:
    """A repository at one revision; `source` is how it is referred to, `license` as the hub's tags have it.

    `gap` is what to raise for a file that is not listed, where that does not mean that the repository lacks it.
    """

    source: str
    revision: str
    files: tuple[HubFile, ...]
    license: str = ""
    gap: NetworkError | None = None


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


def lost_file(place: str) -> NetworkError:
    """What to raise where a hub no longer has what it has just listed."""
    return NetworkError(f"`{place}` has lost a file that it lists", "run the same command again")


@contextmanager
def asking(hub: Hub, hint: str) -> Generator[None]:
    """Raises what goes wrong while a hub is asked for its listing as what `Hub.listing` raises."""
    try:
        yield
    except HttpRefusal as refusal:
        raise hub.explain(refusal) from None
    except (Hitch, Barrier) as error:
        raise Unreachable(f"{hub.title} gives no listing: {error.message}", hint or _HINT) from None
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        raise odd_answer(hub.title) from None


def gathered(where: str, files: Iterable[HubFile | None]) -> tuple[HubFile, ...]:
    """The files of a listing, each path once; None stands for an entry that is no file."""
    found: dict[str, HubFile] = {}
    for number, file in enumerate(files):
        if number == MOST_ENTRIES:
            raise too_large(where)
        if file is not None and is_fit(file.path):
            found.setdefault(file.path, file)
    return tuple(found.values())


def too_large(where: str) -> NetworkError:
    """What to raise where a listing does not end."""
    return NetworkError(f"{where} has more files than any model's repository", "name another one")


def is_fit(path: str) -> bool:
    """Whether a file of a repository can have this path: relative, plain and printable."""
    return not _UNFIT.search(path)


def text_in(value: object) -> str:
    """A text of a listing; raises `TypeError` for anything else."""
    if not isinstance(value, str):
        raise TypeError
    return value


def bytes_in(value: object) -> int:
    """A size of a listing; raises `ValueError` for what no file has."""
    if type(value) is not int or not 0 <= value <= _LARGEST:
        raise ValueError
    return value


def hash_in(value: object, length: int) -> str | None:
    """A checksum of a listing as `length` lower-case hex digits, or None; raises `ValueError` for anything else."""
    if value is None or value == "":
        return None
    if not isinstance(value, str) or not re.fullmatch(rf"[0-9a-fA-F]{{{length}}}", value):
        raise ValueError
    return value.lower()
