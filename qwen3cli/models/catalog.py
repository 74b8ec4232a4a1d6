"""The Qwen3 family: names, shapes, repositories, thinking kinds (from the models' configs and cards)."""

from __future__ import annotations

from dataclasses import dataclass

from qwen3cli.chat.thinking import ThinkingMode
from qwen3cli.machine import ModelFacts

HEAD = 128
"""Numbers of a head of attention."""
VOCABULARY = 151_936


@dataclass(frozen=True)
class Member:
    """One released model. `experts` is (in all, used); `context` is the native context in tokens.

    `gguf` is the repository of its GGUF files: Qwen's own, or for those that Qwen gives as safetensors only the
    best known one; base models have none that would last, and are converted.
    """

    name: str
    repository: str
    thinking: ThinkingMode
    layers: int
    hidden: int
    feed_forward: int
    heads: int
    kv_heads: int
    experts: tuple[int, int] | None = None
    base: bool = False
    context: int = 32_768
    sibling: str | None = None
    gguf: str | None = None

    @property
    def tied(self) -> bool:
        """Whether its output is computed with the embeddings, so that its files hold no output.weight."""
        return self.name.split("-")[0] in _TIED

    def lacks(self, quantization: str) -> bool:
        """Whether it is known to have no GGUF file of this quantization; of others its repository's listing tells."""
        return self.gguf is None or (self.name in _ONLY_Q8_0 and quantization.upper() != "Q8_0")

    @property
    def checkpoint_class(self) -> str:
        """What `architectures` in its config.json names."""
        return "Qwen3MoeForCausalLM" if self.experts else "Qwen3ForCausalLM"

    def unlike(self, facts: ModelFacts) -> str:
        """What a model is instead of this one, as far as its header tells; empty if nothing speaks against it.

        Its width is not looked at: that the repository is Qwen's own, or was named by the person, vouches for it.
        """
        if self.base != facts.base:
            return "a base model" if facts.base else "no base model"
        if facts.architecture != ("qwen3moe" if self.experts else "qwen3"):
            return _ARCHITECTURES.get(facts.architecture, f"of the architecture `{facts.architecture}`")
        if facts.thinking not in ("", self.thinking.value):
            return f"one whose thinking is `{facts.thinking}`"
        return ""


_SHAPES: dict[str, tuple[int, int, int, int, int, tuple[int, int] | None]] = {
    "0.6b": (28, 1024, 3072, 16, 8, None),
    "1.7b": (28, 2048, 6144, 16, 8, None),
    "4b": (36, 2560, 9728, 32, 8, None),
    "8b": (36, 4096, 12288, 32, 8, None),
    "14b": (40, 5120, 17408, 40, 8, None),
    "32b": (64, 5120, 25600, 64, 8, None),
    "30b-a3b": (48, 2048, 768, 32, 4, (128, 8)),
    "235b-a22b": (94, 4096, 1536, 64, 4, (128, 8)),
}
_ARCHITECTURES = {"qwen3": "a dense model", "qwen3moe": "a mixture of experts"}
_TIED = ("0.6b", "1.7b", "4b")
_ONLY_Q8_0 = ("0.6b", "1.7b")
"""Of these Qwen gives no other GGUF file."""
_WITH_BASE = ("0.6b", "1.7b", "4b", "8b", "14b", "30b-a3b")
_WITH_2507 = ("4b", "30b-a3b", "235b-a22b")
_LONG_CONTEXT = 262_144


def _repository(size: str, suffix: str = "") -> str:
    return f"Qwen/Qwen3-{size.upper()}{suffix}"


def _members() -> dict[str, Member]:
    found: list[Member] = []
    for size, shape in _SHAPES.items():
        repository = _repository(size)
        found.append(Member(size, repository, ThinkingMode.HYBRID, *shape, gguf=f"{repository}-GGUF"))
        if size in _WITH_BASE:
            found.append(
                Member(f"{size}-base", _repository(size, "-Base"), ThinkingMode.NEVER, *shape, base=True)
            )
        if size in _WITH_2507:
            for kind, thinking in (("Instruct", ThinkingMode.NEVER), ("Thinking", ThinkingMode.ALWAYS)):
                found.append(
                    Member(
                        f"{size}-{kind.lower()}-2507",
                        _repository(size, f"-{kind}-2507"),
                        thinking,
                        *shape,
                        context=_LONG_CONTEXT,
                        sibling=size,
                        gguf=f"unsloth/Qwen3-{size.upper()}-{kind}-2507-GGUF",
                    )
                )
    coder = _SHAPES["30b-a3b"]
    found.append(
        Member(
            "coder-30b-a3b",
            "Qwen/Qwen3-Coder-30B-A3B-Instruct",
            ThinkingMode.NEVER,
            *coder,
            context=_LONG_CONTEXT,
            sibling="30b-a3b",
            gguf="unsloth/Qwen3-Coder-30B-A3B-Instruct-GGUF",
        )
    )
    return {member.name: member for member in found}


FAMILY: dict[str, Member] = _members()
"""Every member by its short name."""


PINS: dict[tuple[str, str], tuple[str, str]] = {
    ("qwen/qwen3-0.6b-gguf", "Qwen3-0.6B-Q8_0.gguf"): (
        "23749fef",
        "9465e63a22add5354d9bb4b99e90117043c7124007664907259bd16d043bb031",
    ),
    ("qwen/qwen3-1.7b-gguf", "Qwen3-1.7B-Q8_0.gguf"): (
        "90862c4b",
        "061b54daade076b5d3362dac252678d17da8c68f07560be70818cace6590cb1a",
    ),
    ("qwen/qwen3-4b-gguf", "Qwen3-4B-Q4_K_M.gguf"): (
        "bc640142",
        "7485fe6f11af29433bc51cab58009521f205840f5b4ae3a32fa7f92e8534fdf5",
    ),
    ("qwen/qwen3-8b-gguf", "Qwen3-8B-Q4_K_M.gguf"): (
        "7c41481f",
        "d98cdcbd03e17ce47681435b5150e34c1417f50b5c0019dd560e4882c5745785",
    ),
    ("qwen/qwen3-8b-gguf", "Qwen3-8B-Q8_0.gguf"): (
        "7c41481f",
        "408b955510e196121c1c375201744783b5c9a43c7956d73fc78df54c66e883d6",
    ),
    ("qwen/qwen3-14b-gguf", "Qwen3-14B-Q4_K_M.gguf"): (
        "530227a7",
        "500a8806e85ee9c83f3ae08420295592451379b4f8cf2d0f41c15dffeb6b81f0",
    ),
}
"""Revision and SHA-256 of official files, by repository and file: a mirror that lists others at that revision lies."""


def find(name: str) -> Member | None:
    """The member that a short name (`8b`) or a long one (`Qwen3-8B`) names; any case."""
    plain = name.lower().removeprefix("qwen3-").removesuffix("-gguf")
    if plain.startswith("coder-"):
        plain = plain.removesuffix("-instruct")
    return FAMILY.get(plain)


def find_in_repository(repository: str) -> Member | None:
    """The member that a repository holds by its name, whoever quantized or copied it (`unsloth/Qwen3-8B-GGUF`)."""
    return find(repository.lower().rpartition("/")[2].removeprefix("qwen_"))


def sibling_of(model_name: str) -> str | None:
    """The member whose thinking can be switched, for a model whose name says which other one it is."""
    name = model_name.lower()
    fitting = [m for m in FAMILY.values() if m.sibling and m.repository.split("/Qwen3-")[1].lower() in name]
    return fitting[0].sibling if fitting else None
