"""Hugging Face: huggingface_hub lists, and knows endpoint, token, offline mode and its cache.

Source: https://huggingface.co/docs/hub/api. The files themselves are fetched by download.py.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qwen3cli.errors import ModelNotFound, NetworkError, QwenError
from qwen3cli.models.sources.hub import Listing, Unreachable, odd_answer
from qwen3cli.models.variants import HubFile

if TYPE_CHECKING:
    from qwen3cli.models.download import RemoteFile
    from qwen3cli.models.http import HttpRefusal

_PATIENCE_S = 15.0
_BRANCH = "main"


class HuggingFace:
    """A repository on Hugging Face, or on the mirror that `HF_ENDPOINT` names."""

    title = "Hugging Face"

    def __init__(self, repository: str) -> None:
        self.repository = repository

    def listing(self) -> Listing:
        """The repository's main branch now; in offline mode, what the cache has of it."""
        import huggingface_hub as hub

        if hub.is_offline_mode():
            return self._cached_listing()
        _be_patient_for(_PATIENCE_S)
        api = hub.HfApi()
        with self._translated():
            info = api.repo_info(self.repository, revision=_BRANCH, timeout=_PATIENCE_S)
            revision = info.sha or _BRANCH
            tree = api.list_repo_tree(self.repository, recursive=True, revision=revision)
            files = tuple(_as_file(entry) for entry in tree if isinstance(entry, hub.RepoFile))
        return Listing(self.repository, revision, files, _license(getattr(info, "tags", None)))

    def remote(self, listing: Listing, file: HubFile) -> RemoteFile:
        """What to ask for to get `file`."""
        import huggingface_hub as hub

        from qwen3cli.models.download import RemoteFile

        token = hub.get_token()
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        url = hub.hf_hub_url(self.repository, file.path, revision=listing.revision)
        return RemoteFile(file.name, url, file.size, file.sha256, headers, file.git)

    def cached(self, listing: Listing, file: HubFile) -> Path | None:
        """The file in the cache of huggingface_hub, if its size is right."""
        import huggingface_hub as hub

        found = hub.try_to_load_from_cache(self.repository, file.path, revision=listing.revision)
        if not isinstance(found, str):
            return None
        path = Path(found)
        try:
            return path if path.stat().st_size == file.size else None
        except OSError:
            return None

    def explain(self, refusal: HttpRefusal) -> QwenError:
        """What a refused request means: the listing was given, so it is not that the repository is unknown."""
        return self._refused(refusal.status, gated=refusal.status in (401, 403))

    def _cached_listing(self) -> Listing:
        import huggingface_hub as hub

        folder = Path(hub.constants.HF_HUB_CACHE) / f"models--{self.repository.replace('/', '--')}"
        try:
            revision = (folder / "refs" / _BRANCH).read_text(encoding="utf-8").strip()
            files = tuple(_files_in(folder / "snapshots" / revision))
        except (OSError, ValueError):
            files, revision = (), ""
        if not files:
            raise NetworkError(
                f"`{self.repository}` is not in the cache of Hugging Face, and `HF_HUB_OFFLINE` forbids to ask for it",
                "unset `HF_HUB_OFFLINE`, or name a model that is there",
            )
        return Listing(self.repository, revision, files)

    @contextmanager
    def _translated(self) -> Generator[None]:
        """Raises what huggingface_hub raises as ours."""
        import httpx2
        from huggingface_hub import errors

        try:
            yield
        except errors.HFValidationError as error:
            raise ModelNotFound(f"`{self.repository}` is no repository: {error}") from None
        except errors.HfHubHTTPError as error:
            status = error.response.status_code
            raise self._refused(status, gated=isinstance(error, errors.GatedRepoError)) from None
        except httpx2.TransportError as error:
            reason = str(error) or type(error).__name__
            raise Unreachable(
                f"{self.title} at {_endpoint()} cannot be reached: {reason}",
                "check the connection, set `HF_ENDPOINT` to a mirror, or try `--source modelscope`",
            ) from None
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise odd_answer(f"{self.title} at {_endpoint()}") from error

    def _refused(self, status: int, *, gated: bool) -> QwenError:
        import huggingface_hub as hub

        page = f"{_endpoint()}/{self.repository}"
        if gated or (status == 403 and hub.get_token()):
            return NetworkError(
                f"`{self.repository}` is gated: Hugging Face gives it only to people who accepted its terms",
                f"accept them at {page}, and set `HF_TOKEN` to a token of that account",
            )
        if status in (401, 404):
            private = (
                "set `HF_TOKEN` if it is private" if not hub.get_token() else "this token may not see it"
            )
            return ModelNotFound(
                f"{self.title} has no repository `{self.repository}`", f"check its name; {private}"
            )
        if status == 403:
            return NetworkError(
                f"{self.title} refuses `{self.repository}` (403)", "set `HF_TOKEN` to a valid token"
            )
        return NetworkError(f"{self.title} answered {status} for `{self.repository}`", "try again later")


def _endpoint() -> str:
    from huggingface_hub import constants

    return str(constants.ENDPOINT)


def _be_patient_for(seconds: float) -> None:
    """Gives huggingface_hub's requests an end; by default they wait for ever."""
    import httpx2
    import huggingface_hub as hub

    hub.set_client_factory(lambda: httpx2.Client(follow_redirects=True, timeout=seconds))


def _as_file(entry: Any) -> HubFile:
    """Large files are kept by LFS under their SHA-256, the others by git."""
    if entry.lfs:
        return HubFile(entry.path, entry.lfs.size, entry.lfs.sha256.lower())
    return HubFile(entry.path, entry.size, git=str(entry.blob_id).lower())


def _license(tags: list[str] | None) -> str:
    marked = (tag.removeprefix("license:") for tag in tags or () if tag.startswith("license:"))
    return next(marked, "")


def _files_in(folder: Path) -> Iterator[HubFile]:
    """The files of a snapshot; a link leads to its blob, which is named after its SHA-256 if it is large."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            blob = Path(os.path.realpath(path)).name
            known = blob if len(blob) == 64 else None
            yield HubFile(path.relative_to(folder).as_posix(), path.stat().st_size, known)
