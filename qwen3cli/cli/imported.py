"""Carrying out `qwen3 import`: what was meant, what is chosen, what is registered, what is said."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qwen3cli.cli.session import Session
from qwen3cli.errors import InvalidFile, ModelNotFound, QwenError, UsageError
from qwen3cli.models.facts import read_facts
from qwen3cli.models.reference import ModelRef, exists, is_folder
from qwen3cli.models.sources.found import TITLES, Found
from qwen3cli.models.sources.others import PROGRAMS, choose, find_at, find_models, places_of, program_named
from qwen3cli.models.sources.registry import Registry
from qwen3cli.terminal.figures import size
from qwen3cli.terminal.sanitise import sanitise_line

_FAMILY = "qwen3"
"""What the architectures of the family begin with."""

_OLLAMA = "ollama://"


@dataclass(frozen=True)
class _Wish:
    """What was asked for: the models of a program or at a path, all or some of them."""

    program: str | None
    path: Path | None
    models: tuple[str, ...]
    name: str | None
    all: bool

    @property
    def where(self) -> str:
        """The place in a sentence."""
        if self.path is not None:
            return f"`{self.path}`"
        return TITLES[self.program] if self.program else "other programs"

    @property
    def is_explicit(self) -> bool:
        """Whether each model was named, so that what is wrong with one is an error."""
        return bool(self.models) or (self.path is not None and not is_folder(str(self.path)))


def run_import(
    session: Session, where: str | None, models: tuple[str, ...], name: str | None, *, all_: bool
) -> None:
    """List or register; the arguments are those of the command."""
    wish = _wish(where, models, name, all_)
    home = Path(os.path.expanduser("~"))  # noqa: PTH111 (pathlib's fails where there is none)
    if wish.path is not None:
        found, passed = find_at(wish.path)
    else:
        found, passed = find_models(wish.program, session.console.environ, home)
    if where is None and not all_:
        _show_list(session, found, passed)
        return
    looked = places_of(wish.program, session.console.environ, home) if wish.program else []
    chosen = _chosen(session, wish, found, passed, looked)
    _show_done(session, _registered(session, wish, chosen))


def _wish(where: str | None, models: tuple[str, ...], name: str | None, all_: bool) -> _Wish:
    """What the arguments mean; raises `UsageError`, or `ModelNotFound` for a path that leads nowhere."""
    if where is not None and where.lower().startswith(_OLLAMA):
        where, models = "ollama", (where[len(_OLLAMA) :], *models)
    if models and all_:
        raise UsageError("`--all` and MODEL exclude each other", "leave one of them out")
    if name is not None and (where is None or len(models) > 1):
        raise UsageError("`--as` names one model", "as in `qwen3 import ollama qwen3:8b --as NAME`")
    program = program_named(where) if where is not None else None
    path = _path(where) if where is not None and program is None else None
    return _Wish(program, path, models, name, all_)


def _path(text: str) -> Path:
    if not text:
        raise UsageError("the path is empty", "`.` is the folder that you are in")
    try:
        path = Path(os.path.abspath(Path(text).expanduser()))  # noqa: PTH100 (pathlib's keeps the `..`)
    except (RuntimeError, OSError):  # There is no such user; or the folder that we are in is gone.
        raise ModelNotFound(f"`{text}` leads nowhere", "check the path") from None
    if exists(str(path)):
        return path
    if ModelRef.parse(text).kind == "path":
        raise ModelNotFound(f"there is no file or folder `{text}`", "check the path")
    raise UsageError(
        f"`{text}` is neither a program nor a path",
        f"programs are {', '.join(PROGRAMS)}; `qwen3 import` lists what they have",
    )


def _chosen(
    session: Session, wish: _Wish, found: Sequence[Found], passed: Sequence[str], looked: Sequence[Path]
) -> list[Found]:
    """The models to register; what was passed over is said unless those that are named were not."""
    try:
        if wish.models:
            return list(dict.fromkeys(choose(found, text, wish.where) for text in wish.models))
    except QwenError:
        _notice(session, passed)
        raise
    _notice(session, passed)
    if not found:
        places = ", ".join(f"`{path}`" for path in looked)
        raise ModelNotFound(f"there are no models in {wish.where}", f"looked in {places}" if places else None)
    return list(found) if wish.all or wish.is_explicit else _of_the_family(session, wish, found)


def _of_the_family(session: Session, wish: _Wish, found: Sequence[Found]) -> list[Found]:
    """The Qwen3 models, and those whose header cannot be read, for which registering will say why."""
    family: list[Found] = []
    others: list[str] = []
    for model in found:
        try:
            architecture = read_facts(model.files[0]).architecture
        except InvalidFile:
            architecture = _FAMILY
        if architecture.startswith(_FAMILY):
            family.append(model)
        else:
            others.append(f"`{model.reference}` ({architecture})")
    if others:
        _notice(
            session, [f"of other families and passed over, unless named or with `--all`: {', '.join(others)}"]
        )
    if not family:
        raise ModelNotFound(f"there is no Qwen3 model in {wish.where}", "`--all` takes the others")
    return family


def _registered(session: Session, wish: _Wish, chosen: Sequence[Found]) -> list[tuple[Found, str, bool]]:
    """Each model with its name in the store, and whether it is new there.

    Of several, one that cannot be registered is passed over; raises what is wrong with the last if none could.
    """
    if wish.name is not None and len(chosen) != 1:
        raise UsageError(f"`--as` names one model, and {len(chosen)} were found", "say which one")
    registry = Registry(session.store)
    done: list[tuple[Found, str, bool]] = []
    failed: list[InvalidFile] = []
    for model in chosen:
        name = registry.installed(model)
        if name is not None and wish.name is not None and name.lower() != wish.name.lower():
            hint = f"`qwen3 cp {name} {wish.name}` gives it a second name"
            raise UsageError(f"`{model.reference}` is installed already, as `{name}`", hint)
        try:
            done.append((model, name or registry.register(model, wish.name).name, name is None))
        except InvalidFile as error:
            if wish.is_explicit:
                raise
            failed.append(error)
    if failed and not done:
        raise failed[-1]
    _notice(session, [error.message for error in failed])
    return done


def _notice(session: Session, sentences: Sequence[str]) -> None:
    """On stderr with `--json` too: stdout gets one list."""
    for sentence in sentences:
        session.console.notice(sentence)


def _show_list(session: Session, found: Sequence[Found], passed: Sequence[str]) -> None:
    """What there is; nothing is changed."""
    registry = Registry(session.store)
    names = [registry.installed(model) for model in found]
    if session.as_json:
        session.console.json([_as_json(model, name) for model, name in zip(found, names, strict=True)])
    elif found:
        rows = [(model.program, model.reference, size(model.size), _files(model)) for model in found]
        session.console.table(rows, ("PROGRAM", "MODEL", "SIZE", "FILE"), right=(2,), squeezed=(1, 3))
    _notice(session, passed)
    known = list(dict.fromkeys(name for name in names if name))
    if not found:
        session.console.talk("no other program has a model here")
    elif None in names:
        session.console.talk(
            "`qwen3 import PROGRAM` registers what a program has, `qwen3 import PROGRAM MODEL` one"
        )
    if known:
        session.console.talk(f"installed already: {', '.join(known)}")


def _show_done(session: Session, done: Sequence[tuple[Found, str, bool]]) -> None:
    if session.as_json:
        session.console.json([{**_as_json(model, name), "new": new} for model, name, new in done])
        return
    for model, name, new in done:
        what = f"{sanitise_line(model.reference)} ({size(model.size)})"
        session.console.talk(f"registered {name}: {what}" if new else f"installed already as {name}: {what}")


def _files(model: Found) -> str:
    further = len(model.files) - 1
    return f"{model.files[0]} and {further} more" if further else str(model.files[0])


def _as_json(model: Found, name: str | None) -> dict[str, Any]:
    files = [str(path) for path in model.files]
    about = {"program": model.program, "model": model.reference, "size": model.size, "files": files}
    return {**about, "sha256": list(model.sha256), "name": name}
