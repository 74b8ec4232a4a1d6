"""Records what llama.cpp makes of the test checkpoints: tests/converters/golden.json.

Two steps: convert_hf_to_gguf.py, then llama-quantize.

Run by `make oracle`; `git diff` must stay empty afterwards. Needs the extra `oracle`.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from tests.converters.cases import CASES
from tests.converters.checkpoints import make_checkpoint
from tests.converters.golden import GOLDEN, digest, metadata
from tests.oracle.source import CACHE, PACKAGE
from tests.oracle.upstream import convert_upstream, intermediate, quantize_upstream


def main() -> None:
    """Converts every case with upstream's converter and writes the golden file."""
    CACHE.mkdir(exist_ok=True)
    cases: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(dir=CACHE) as work:
        for key, case in CASES.items():
            folder = Path(work) / key
            checkpoint = make_checkpoint(folder / case.folder, case.model)
            convert_upstream(checkpoint, folder / "whole", intermediate(case.model.dtype), case.name)
            options = case.options(folder)
            outputs = {name: folder / f"{name}.gguf" for name in case.types}
            for name, output in outputs.items():
                refused = quantize_upstream(folder / "whole", output, name, *options, folder=folder)
                assert not refused, refused
            files = {name: digest(output) for name, output in outputs.items()}
            cases[key] = {"metadata": metadata(outputs[case.types[0]]), "files": files}
            print(f"  {key}: {', '.join(case.types)}", flush=True)
    source = f"convert_hf_to_gguf.py (pre-tokenizer hash check patched), llama-quantize of {PACKAGE}"
    golden = json.dumps({"source": source, "cases": cases}, indent=1, ensure_ascii=False)
    GOLDEN.write_text(golden + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
