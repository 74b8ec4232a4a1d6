"""From a reference to the hubs that may have it, in the order in which they are tried."""

from __future__ import annotations

from qwen3cli.errors import UsageError
from qwen3cli.models import catalog
from qwen3cli.models.http import Http
from qwen3cli.models.reference import ModelRef, SourceChoice
from qwen3cli.models.sources.hub import Hub
from qwen3cli.models.sources.huggingface import HuggingFace
from qwen3cli.models.sources.kaggle import Kaggle
from qwen3cli.models.sources.modelscope import ModelScope
from qwen3cli.models.sources.web import Web


def hubs_of(reference: ModelRef, source: SourceChoice, http: Http, *, checkpoint: bool) -> list[Hub]:
    """The hubs for a remote reference; `checkpoint` asks for a family member's safetensors, not its GGUF files.

    Hugging Face and ModelScope name repositories alike, so one stands in for the other where `source` is "auto".
    """
    place = reference.place
    if reference.kind == "family":
        member = catalog.FAMILY[place]
        place = member.repository if checkpoint or member.gguf is None else member.gguf
    elif reference.kind != "hf" and source != "auto":
        raise UsageError(f"`{reference.text}` says itself where it is", "leave out `--source`")
    if reference.kind == "url":
        return [Web(place, http)]
    if reference.kind == "kaggle":
        return [Kaggle(place, http)]
    if reference.kind == "modelscope":
        return [ModelScope(place, http)]
    hubs: dict[str, list[Hub]] = {
        "hf": [HuggingFace(place, http)],
        "modelscope": [ModelScope(place, http)],
    }
    return hubs.get(source, [*hubs["hf"], *hubs["modelscope"]])
