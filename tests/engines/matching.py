"""Whether texts follow a schema, by llama.cpp's own matching of its grammar."""

from __future__ import annotations

from typing import Any

from qwen3cli.engines.grammar import answer_grammar
from qwen3cli.engines.llama.constraint import Constraint, Tokens


class Matcher:
    """Whether texts follow a schema, by its grammar."""

    def __init__(self, tokens: Tokens, schema: Any, *, thought: bool = False) -> None:
        self._tokens = tokens
        self.grammar = answer_grammar((), {}, schema, thought=thought)

    def takes(self, text: str) -> bool:
        constraint = Constraint(self._tokens, self.grammar.text)
        try:
            for byte in text.encode():
                token = self._tokens.byte(byte)
                if token is None or not constraint.allows(token):
                    # A byte that only goes on with a character has no token that begins with it.
                    token = self._tokens.vocabulary.pieces.index(bytes([byte]))
                    if not constraint.allows(token):
                        return False
                constraint.accept(token)
            return constraint.allows(self._tokens.vocabulary.eos)
        finally:
            constraint.free()
