from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.homes import Home
from tests.conftest import Run


@pytest.fixture
def home(qwen3: Run, tmp_path: Path) -> Home:
    return Home(qwen3, tmp_path)
