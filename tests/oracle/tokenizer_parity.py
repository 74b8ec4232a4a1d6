"""Compares Qwen3's tokenizer.json with what the tests take for it, and with our tokenizer; writes nothing.

Run by `make oracle`, with npm on the path.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import llama_cpp.llama_cpp as C
from tokenizers import Tokenizer

from qwen3cli.engines.llama.vocabulary import Vocabulary
from tests.engines import full_vocabulary
from tests.engines.models import SPECIALS, as_token
from tests.engines.test_tokenization import strings
from tests.oracle.template_golden import PACKAGE, VERSION, official


def main() -> None:
    """Prints the figures; exits with 1 when anything differs."""
    data = official("tokenizer.json")
    file = json.loads(data)
    same = {
        "tokens": file["model"]["vocab"]
        == {as_token(t): n for n, t in enumerate(full_vocabulary.base_tokens())},
        "merges": [tuple(m.split(" ") if isinstance(m, str) else m) for m in file["model"]["merges"]]
        == [(as_token(a), as_token(b)) for a, b in full_vocabulary.merges()],
        "added tokens": [token["content"] for token in file["added_tokens"]] == SPECIALS,
    }
    reference = Tokenizer.from_str(data.decode())
    with tempfile.TemporaryDirectory() as folder:
        vocabulary = _vocabulary(full_vocabulary.write_gguf(Path(folder) / "qwen3.gguf"))
        compared = strings()
        wrong = [
            t for t in compared if vocabulary.tokenize(t) != reference.encode(t, add_special_tokens=False).ids
        ]
    same["ids"] = not wrong
    print(f"  tokenizer.json of {PACKAGE} {VERSION}: {len(compared)} strings, {len(wrong)} with other ids")
    for what, equal in same.items():
        print(f"  {what}: {'the same' if equal else 'NOT the same'}")
    if not all(same.values()):
        sys.exit(1)


def _vocabulary(path: Path) -> Vocabulary:
    params = C.llama_model_default_params()
    params.vocab_only = True
    model = C.llama_model_load_from_file(str(path).encode(), params)
    assert model is not None
    pointer = C.llama_model_get_vocab(model)
    assert pointer is not None
    return Vocabulary(pointer, "qwen2")


if __name__ == "__main__":
    main()
