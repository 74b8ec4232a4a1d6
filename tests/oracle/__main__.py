"""`make oracle`: golden files anew from upstream, and measurements against it; `git diff` must stay empty."""

from __future__ import annotations

import importlib

STEPS = {
    "converter: golden files of llama.cpp's own": "tests.oracle.convert_golden",
    "converter: logits beside transformers": "tests.oracle.logits_parity",
    "engine: golden renderings of the official template": "tests.oracle.template_golden",
    "engine: token ids beside the official tokenizer": "tests.oracle.tokenizer_parity",
}

for title, module in STEPS.items():
    print(f"\n== {title}", flush=True)
    importlib.import_module(module).main()
