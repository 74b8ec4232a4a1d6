"""Models as `list` and `show` present them: rows for people, values for scripts."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Any

from qwen3cli.cli.session import Session, thinking_of
from qwen3cli.errors import QwenError
from qwen3cli.machine import ModelFacts
from qwen3cli.models.details import Details, Template, read_details
from qwen3cli.models.manifest import Entry
from qwen3cli.models.reference import DEMO
from qwen3cli.terminal.figures import count, size

_THINKING = {
    "hybrid": "hybrid: it can be switched on and off",
    "never": "never",
    "always": "always",
    "": "not known: its template does not show it",
}


def list_rows(entries: Sequence[Entry]) -> list[tuple[str, ...]]:
    """A row for each model, and one for the demo."""
    rows = [
        (e.name, size(e.facts.file_bytes), e.facts.quantization, age(e.added), e.origin.shown)
        for e in entries
    ]
    return [*rows, (DEMO, "", "", "", "built in")]


def entry_json(entry: Entry, problem: QwenError | None = None) -> dict[str, Any]:
    """What the manifest says, and what is wrong with the files, if anything is."""
    origin = entry.origin
    return {
        **_facts_json(entry.facts),
        "modified": datetime.fromtimestamp(entry.added, timezone.utc).isoformat(),
        "source": origin.source,
        "changes": origin.changes,
        "revision": origin.revision,
        "sha256": list(origin.sha256),
        "license": origin.license,
        "external": entry.external,
        "problem": problem.message if problem else None,
    }


@dataclass(frozen=True)
class Described:
    """All there is to say about a model; `entry` where the store has it."""

    facts: ModelFacts
    details: Details
    entry: Entry | None

    @classmethod
    def of(cls, session: Session, facts: ModelFacts) -> Described:
        """The description of a model whose facts have just been read."""
        details = read_details(facts.path)
        entries = session.store.entries()
        place = (facts.name, facts.path)
        found = next((one for one in entries if (one.name, one.facts.path) == place), None)
        if found is None and not facts.thinking and details.template:
            facts = replace(facts, thinking=thinking_of(details.template.source))
        return cls(facts, details, found)

    @property
    def license(self) -> str:
        """As its source has it, else as the file says."""
        return (self.entry.origin.license if self.entry else "") or self.details.license

    def as_json(self) -> dict[str, Any]:
        """For scripts."""
        template = self.details.template
        return {
            **(entry_json(self.entry) if self.entry else {}),
            **_facts_json(self.facts),
            "license": self.license,
            "sampling": dict(self.details.sampling),
            "template": _template_json(template) if template else None,
        }

    def rows(self) -> list[tuple[str, str]]:
        """For people."""
        facts, sampling = self.facts, self.details.sampling
        rows = [
            ("name", facts.name),
            ("architecture", facts.architecture),
            ("parameters", count(facts.parameters)),
            ("context", f"{facts.context_length:,} tokens" if facts.context_length else "not said"),
            ("type", facts.quantization),
            ("size", size(facts.file_bytes)),
            ("kv cache", f"{size(facts.kv_bytes_per_token)} a token at f16"),
            ("kind", "base (completes text)" if facts.base else "chat"),
            ("template", _template_text(self.details.template)),
            ("thinking", _THINKING[facts.thinking]),
            ("sampling", ", ".join(f"{key} {value}" for key, value in sampling.items()) or "not said"),
            ("license", self.license or "not said"),
        ]
        if self.entry:
            rows.append(("source", self.entry.origin.shown))
            rows.append(("revision", self.entry.origin.revision or "not said"))
            rows.append(("modified", age(self.entry.added)))
        label = "file (external)" if self.entry and self.entry.external else "file"
        places = [(label, str(path)) for path in (facts.path, *facts.further)]
        return [*rows, *places]


def _facts_json(facts: ModelFacts) -> dict[str, Any]:
    plain = {key: value for key, value in vars(facts).items() if key not in ("path", "further")}
    return {**plain, "path": str(facts.path), "further": [str(path) for path in facts.further]}


def _template_text(template: Template | None) -> str:
    if template is None:
        return "none: it completes text and does not chat"
    tools = ", takes tools" if template.takes_tools else ""
    return f"{template.kind}{tools} (sha256 {template.sha256[:12]}...)"


def _template_json(template: Template) -> dict[str, Any]:
    return {"kind": template.kind, "tools": template.takes_tools, "sha256": template.sha256}


def age(then: float) -> str:
    """How long ago a time of `time.time` was, in words."""
    seconds = max(0, time.time() - then)
    for unit, length in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= length:
            number = int(seconds // length)
            return f"{number} {unit}{'s' if number > 1 else ''} ago"
    return "just now"


def turns(number: int) -> str:
    """How many turns, in words."""
    return "1 turn" if number == 1 else f"{number:,} turns"
