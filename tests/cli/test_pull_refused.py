"""What a person reads where a hub lists a model, and something keeps its files back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.homes import FILE, GGUF, Home
from tests.hubs import faults
from tests.hubs.hub import Hub
from tests.hubs.modelscope import ModelScope
from tests.hubs.repository import Repository


@pytest.fixture(scope="module")
def model(demo_gguf: Path) -> Repository:
    return Repository(GGUF, {FILE: demo_gguf.read_bytes()})


@pytest.fixture
def hub(model: Repository) -> Iterator[Hub]:
    with Hub(model) as hub:
        yield hub


@pytest.mark.parametrize(
    ("status", "page", "said"),
    [
        (401, True, "refuses: 401 Unauthorized"),
        (403, True, "refuses: 403 Forbidden"),
        (451, False, "refuses: 451 Unavailable For Legal Reasons"),
    ],
)
def test_files_that_are_kept_from_us_may_be_had_elsewhere(
    home: Home, hub: Hub, model: Repository, status: int, page: bool, said: str
) -> None:
    hub.server.inject(faults.error_page(status) if page else faults.refuse(status), "/resolve/")
    done = home("pull", "8b", HF_ENDPOINT=hub.url)
    assert done.returncode == 5
    assert f"lists `{GGUF}`, but does not give its files" in done.stderr
    assert said in done.stderr
    assert "gated" not in done.stderr
    assert "try `--source modelscope`" in done.stderr
    with ModelScope(model) as other:
        there = home("pull", "8b", "--source", "modelscope", MODELSCOPE_ENDPOINT=other.url)
    assert there.returncode == 0, there.stderr
    assert home.bytes_of("8b") == model.files[FILE]


def test_a_page_in_place_of_a_listed_file_says_that_it_is_lost(home: Home, hub: Hub) -> None:
    hub.server.inject(faults.error_page(404), "/resolve/")
    done = home("pull", "8b", HF_ENDPOINT=hub.url)
    assert done.returncode == 5
    assert f"`{GGUF}` has lost a file that it lists" in done.stderr
