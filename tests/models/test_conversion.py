from __future__ import annotations

import threading
import time
from pathlib import Path

from converters.writer import OutputFile
from qwen3cli.models.conversion import demo_facts


def test_a_killed_first_start_is_taken_over(tmp_path: Path) -> None:
    facts = demo_facts(tmp_path)
    facts.path.unlink()
    (tmp_path / f".{facts.path.name}.partial").write_bytes(b"half")
    assert demo_facts(tmp_path) == facts
    assert [path.name for path in tmp_path.iterdir()] == [facts.path.name]


def test_a_first_start_waits_for_another_one(tmp_path: Path) -> None:
    facts = demo_facts(tmp_path)
    data = facts.path.read_bytes()
    facts.path.unlink()

    def write() -> None:
        with OutputFile(facts.path, len(data)) as file:
            writing.set()
            time.sleep(0.3)
            file.write(data, 0)
            file.commit()

    writing = threading.Event()
    other = threading.Thread(target=write)
    other.start()
    writing.wait()
    assert demo_facts(tmp_path) == facts
    other.join()
    assert [path.name for path in tmp_path.iterdir()] == [facts.path.name]
