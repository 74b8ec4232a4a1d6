"""Records what llama.cpp's own converter writes for the test checkpoints: tests/converters/golden.json.

Run by `make oracle`; `git diff` must stay empty afterwards. Needs the extra `oracle`.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from tests.converters.cases import CASES
from tests.converters.checkpoints import make_checkpoint
from tests.converters.golden import GOLDEN, digest
from tests.oracle.upstream import CACHE, PACKAGE, convert_upstream


def main() -> None:
    """Converts every case with upstream's converter and writes the golden file."""
    CACHE.mkdir(exist_ok=True)
    files: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(dir=CACHE) as work:
        for key, case in CASES.items():
            checkpoint = make_checkpoint(Path(work) / key / case.folder, case.model)
            for quantization in case.types:
                output = Path(work) / key / f"{quantization}.gguf"
                convert_upstream(checkpoint, output, quantization, case.name)
                files[f"{key} {quantization}"] = found = digest(output)
                print(f"  {key} {quantization}: {output.stat().st_size:,} bytes, {found['file']}")
    source = f"convert_hf_to_gguf.py of {PACKAGE} (vendor/llama.cpp), pre-tokenizer hash check patched"
    golden = json.dumps({"source": source, "files": files}, indent=1, ensure_ascii=False)
    GOLDEN.write_text(golden + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
