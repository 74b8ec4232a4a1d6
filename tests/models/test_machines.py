"""What machines have, real and described, and what runs well on them."""

from __future__ import annotations

import pytest

from qwen3cli.errors import UsageError
from qwen3cli.machine import Device
from qwen3cli.models import machines
from qwen3cli.models.catalog import FAMILY
from qwen3cli.models.machines import Machine, described, parse_ram, parse_size, runs_well, this_machine

GIB = 1 << 30


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("16G", 16 * 10**9),
        ("16", 16 * 10**9),
        ("16GB", 16 * 10**9),
        ("24GiB", 24 * GIB),
        ("24gib", 24 * GIB),
        (" 1.5 T ", 15 * 10**11),
        ("512M", 512 * 10**6),
        ("512 MiB", 512 << 20),
        ("0", 0),
    ],
)
def test_sizes_are_read_as_people_write_them(text: str, size: int) -> None:
    assert parse_size(text, "--vram") == size


@pytest.mark.parametrize(
    "text", ["", "G", "-1", "16 Gb/s", "1e9", "16X", "16iB", "٣G", "9" * 40, "1,5G", "2000T"]
)
def test_nonsense_is_refused_by_a_sentence_that_names_the_option(text: str) -> None:
    with pytest.raises(UsageError, match="--vram") as caught:
        parse_size(text, "--vram")
    assert len(caught.value.message) < 100


def test_a_machine_without_memory_is_refused() -> None:
    assert parse_ram("0.5") == 500_000_000
    with pytest.raises(UsageError, match="too little"):
        parse_ram("0")


@pytest.mark.parametrize(("ram", "usable"), [(8 * GIB, 6 * GIB), (16 * GIB, 12 * GIB), (64 * GIB, 60 * GIB)])
def test_the_system_keeps_a_quarter_and_at_most_4_gib(ram: int, usable: int) -> None:
    assert described(ram).usable == usable


def test_a_gpu_keeps_1_gib() -> None:
    assert described(16 * GIB, 8 * GIB).gpu_room == 7 * GIB
    assert described(16 * GIB, GIB // 2).gpu_room == 0
    assert described(16 * GIB, 0).gpus == ()


def device(kind: str, free: int, name: str = "CUDA0") -> Device:
    return Device(name, "a device", kind, free, 2 * free)


def test_this_machine_has_memory_and_the_gpus_that_the_engine_sees() -> None:
    bare = this_machine([device("CPU", 9 * GIB, "CPU")])
    assert bare.free is not None
    assert 10**8 < bare.free <= bare.usable <= bare.total
    assert (bare.gpus, bare.shared) == ((), False)
    both = this_machine([device("GPU", 3 * GIB), device("GPU", 4 * GIB), device("integrated GPU", GIB)])
    assert (both.gpus, both.shared) == ((3 * GIB, 4 * GIB), False)


def test_a_gpu_that_shares_memory_adds_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machines, "total_memory", lambda: 16 * GIB)
    monkeypatch.setattr(machines, "available_memory", lambda: 3 * GIB)
    assert this_machine([device("integrated GPU", 4 * GIB)]) == Machine(16 * GIB, 8 * GIB, 3 * GIB, (), True)
    # Metal says how much of the memory a GPU may work in; it calls itself a GPU.
    assert this_machine([device("GPU", 5 * GIB, "MTL0")]).usable == 10 * GIB
    assert this_machine([device("GPU", 7 * GIB, "Metal")]) == Machine(16 * GIB, 12 * GIB, 3 * GIB, (), True)


def test_more_than_usual_is_usable_where_it_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machines, "total_memory", lambda: 16 * GIB)
    monkeypatch.setattr(machines, "available_memory", lambda: 15 * GIB)
    assert this_machine().usable == 15 * GIB


def test_what_runs_well_leaves_room_for_8192_tokens_and_for_others() -> None:
    laptop, member = described(8 * 10**9), FAMILY["8b"]
    # 1.2 GB of cache and 0.1 GB of buffers beside the weights, of 6 GB.
    assert runs_well(4_600_000_000, member, laptop)
    assert not runs_well(4_800_000_000, member, laptop)
    assert runs_well(4_800_000_000, member, described(8 * 10**9, 2 * 10**9))
    assert runs_well(4_400_000_000, None, laptop)
    assert not runs_well(4_600_000_000, None, laptop)
    assert runs_well(1_000_000, FAMILY["0.6b"])
