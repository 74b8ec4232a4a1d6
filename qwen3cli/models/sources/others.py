"""What other programs on this machine have: the one place that knows all of them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from qwen3cli.errors import InvalidFile, ModelNotFound, UsageError
from qwen3cli.models.filenames import SUFFIX, is_outside, shard_of
from qwen3cli.models.reference import is_folder
from qwen3cli.models.sources import hf_cache, lmstudio, ollama
from qwen3cli.models.sources.found import FILE, Found, Place, found_in, free_name, scan_files
from qwen3cli.models.sources.looking import Bunch, Unfit, bunches, files_under, weights_size

PROGRAMS: Mapping[str, Callable[[Mapping[str, str], Path], list[Place]]] = {
    "ollama": ollama.places,
    "lmstudio": lmstudio.places,
    "hf": hf_cache.hf_places,
    "llama.cpp": hf_cache.llama_places,
}
"""By the names that people type; each says where it keeps models."""

_SPELLINGS = {"llamacpp": "llama.cpp", "huggingface": "hf", **{name: name for name in PROGRAMS}}
_DEPTH = 6
_LISTED = 12


def program_named(text: str) -> str | None:
    """The program that `text` means, in any case and spelling, such as `LM-Studio`."""
    return _SPELLINGS.get(text.lower()) or _SPELLINGS.get(re.sub(r"[ ._-]", "", text.lower()))


def find_models(program: str | None, environ: Mapping[str, str], home: Path) -> tuple[list[Found], list[str]]:
    """The models that one program has, or all of them, and sentences on what was passed over and why.

    Names are unique, whatever their case; a folder that two programs share is the first one's.
    """
    chosen = [program] if program else list(PROGRAMS)
    return _scan((name, place) for name in chosen for place in PROGRAMS[name](environ, home))


def places_of(program: str, environ: Mapping[str, str], home: Path) -> list[Path]:
    """The folders that `find_models` looks into."""
    return list(dict.fromkeys(place.root for place in PROGRAMS[program](environ, home)))


def find_at(path: Path) -> tuple[list[Found], list[str]]:
    """The models at an absolute path: that of a file, of a folder, or of a program's folder wherever it lies.

    Raises `InvalidFile` for a file that is no model, or not the whole of one.
    """
    if not is_folder(str(path)):
        return [_file(path)], []
    if is_folder(str(path / "manifests")) and is_folder(str(path / "blobs")):
        return _scan([("ollama", Place(ollama.scan, path))])
    if any(path.glob("models--*")):
        return _scan([("hf", Place(hf_cache.scan_hub, path))])
    return _scan([(FILE, Place(_scan_folder, path))])


def _scan_folder(root: Path, program: str) -> Iterator[Found | str]:
    return scan_files(root, program, _DEPTH)


def choose(models: Sequence[Found], wanted: str, where: str) -> Found:
    """The model that `wanted` names: by its reference or name, or by words of the reference that are its alone.

    Raises `ModelNotFound`, or `UsageError` where it could be any of several.
    """
    text = wanted.lower()
    exact = [m for m in models if text in (m.reference.lower(), m.name.lower())]
    latest = [m for m in models if m.reference.lower() == f"{text}:latest"]
    if exact or latest:
        return [*exact, *latest][0]
    # First whole parts of the reference, `Qwen/Qwen3-8B-GGUF`; then whole words of it, `Qwen3-8B` or `q4_k_m`.
    for start, end in (("[/:]", r"(?:\.gguf)?(?:[/:]|$)"), ("[/:._-]", "(?:[/:._-]|$)")):
        part = re.compile(rf"(?:^|{start}){re.escape(text)}{end}")
        fitting = [m for m in models if text and part.search(m.reference.lower())]
        if len(fitting) == 1:
            return fitting[0]
        if fitting:
            raise UsageError(f"`{wanted}` could be {_listed(fitting)}", "say which one")
    hint = f"it has {_listed(models)}" if models else "`qwen3 import` lists what other programs have"
    raise ModelNotFound(f"there is no `{wanted}` in {where}", hint)


def _listed(models: Sequence[Found]) -> str:
    shown = ", ".join(f"`{model.reference}`" for model in models[:_LISTED])
    return shown if len(models) <= _LISTED else f"{shown} and {len(models) - _LISTED:,} more"


def _scan(places: Iterable[tuple[str, Place]]) -> tuple[list[Found], list[str]]:
    models: list[Found] = []
    notes: list[str] = []
    names: set[str] = set()
    looked: set[tuple[object, str]] = set()
    for program, place in places:
        key = (place.scan, os.path.realpath(place.root))
        if key in looked:
            continue
        looked.add(key)
        for one in place.scan(place.root, program):
            if isinstance(one, str):
                notes.append(one)
            else:
                models.append(replace(one, name=free_name(one.name, program, names)))
                names.add(models[-1].name.lower())
    return models, notes


def _file(path: Path) -> Found:
    """The model that a file is, or is a part of; the person named it, so links may lead anywhere."""
    if not is_outside(str(path)):
        raise InvalidFile(f"`{path}` does not end in `.gguf`", "give a GGUF file, or a folder of such")
    found = next(_bunches_of(path), None)
    if found is None:
        raise InvalidFile(f"`{path}` goes with a model and is none itself", "give the file of the model")
    if found.reason:
        raise InvalidFile(f"`{path}` cannot be imported: {found.reason}", "give a whole GGUF file")
    model = found_in(found, FILE)
    assert isinstance(model, Found)
    return replace(model, name=free_name(model.name, FILE, ()))


def _bunches_of(path: Path) -> Iterator[Bunch]:
    if not path.name.lower().endswith(SUFFIX):
        try:
            yield Bunch(path.name, (path,), weights_size(path, None))
        except Unfit as reason:
            yield Bunch(path.name, (path,), reason=str(reason))
        return
    files = {path}
    shard = shard_of(path.name)
    if shard is not None:
        others = [(other, shard_of(other.name)) for other in files_under(path.parent, 0)[0]]
        files |= {other for other, its in others if its and replace(its, number=shard.number) == shard}
    yield from bunches(files, path.parent, None)
