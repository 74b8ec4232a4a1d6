"""`make oracle`: golden files anew from upstream, and measurements against it; `git diff` must stay empty.

The longest steps come last; each can be run alone, as in `python -m tests.oracle.family`.
"""

from __future__ import annotations

import importlib

STEPS = {
    "converter: golden files of llama.cpp's own": "tests.oracle.convert_golden",
    "converter: logits beside transformers": "tests.oracle.logits_parity",
    "converter: merged adapters beside PEFT": "tests.oracle.adapters_parity",
    "engine: golden renderings of the official template": "tests.oracle.template_golden",
    "engine: token ids beside the official tokenizer": "tests.oracle.tokenizer_parity",
    "models: what llama.cpp says that the family needs in memory": "tests.oracle.memory_golden",
    "converter: types of every tensor of the family's true shapes": "tests.oracle.true_types",
    "converter: a whole 0.6B in the usual types": "tests.oracle.whole_0_6b",
    "converter: the family cut down, in every type": "tests.oracle.family",
}

for title, module in STEPS.items():
    print(f"\n== {title}", flush=True)
    importlib.import_module(module).main()
