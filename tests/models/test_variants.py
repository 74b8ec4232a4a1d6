from __future__ import annotations

import pytest

from qwen3cli.errors import ModelNotFound
from qwen3cli.models.variants import HubFile, choose_fitting, choose_named, find_variants, missing_part

GB = 10**9


def repository(**sizes: float) -> list[HubFile]:
    return [HubFile(f"Qwen3-8B-{label}.gguf", int(size * GB)) for label, size in sizes.items()]


USUAL = repository(Q4_K_M=5.0, Q5_K_M=5.9, Q6_K=6.7, Q8_0=8.7, Q5_0=5.7)


def test_what_is_no_model_is_passed_over() -> None:
    names = [
        *("README.md", "config.json", "mmproj-model-f16.gguf", "Qwen3-8B.mmproj-Q8_0.gguf", "imatrix.gguf"),
        *(
            "Qwen3-8B-imatrix.gguf",
            "mtp-Qwen3-8B-Q8_0.gguf",
            "EAGLE3-x.gguf",
            "dflash-x.gguf",
            "dspark-x.gguf",
        ),
        *("draft-a.gguf", "a-draft-q4_0.gguf", "a.DRAFT.gguf", "x-eagle3.gguf", "a-mtp-q8_0.gguf"),
        *("Qwen3-8B-Q4_K_M.gguf", "sub/Qwen3-8B-Q8_0.GGUF", "x.gguf.part"),
    ]
    found = find_variants(HubFile(name, 10) for name in names)
    assert [variant.files[0].path for variant in found] == ["Qwen3-8B-Q4_K_M.gguf", "sub/Qwen3-8B-Q8_0.GGUF"]


@pytest.mark.parametrize(
    "name", ["overdraft-q8_0.gguf", "draftsman.gguf", "qwen3mtp.gguf", "a-eagle30b.gguf"]
)
def test_the_letters_alone_make_no_companion(name: str) -> None:
    assert len(find_variants([HubFile(name, 10)])) == 1


@pytest.mark.parametrize(
    ("path", "label"),
    [
        ("Qwen3-8B-Q4_K_M.gguf", "Q4_K_M"),
        ("Qwen3-8B-UD-Q4_K_XL.gguf", "UD-Q4_K_XL"),
        ("qwen3-8b.q4_0.gguf", "Q4_0"),
        ("Qwen_Qwen3-8B-IQ3_XXS.gguf", "IQ3_XXS"),
        ("Q4_K_M/Qwen3-235B-A22B-Q4_K_M-00001-of-00001.gguf", "Q4_K_M"),
        ("BF16/model.gguf", "BF16"),
        ("model-f16.gguf", "F16"),
        ("Qwen3-8B.gguf", ""),
    ],
)
def test_quantizations_are_read_from_names(path: str, label: str) -> None:
    assert find_variants([HubFile(path, 1)])[0].label == label


def test_shards_are_one_model_in_their_order() -> None:
    files = [HubFile(f"Q4_K_M/m-Q4_K_M-{n:05}-of-00003.gguf", n) for n in (3, 1, 2)]
    (variant,) = find_variants(files)
    assert [file.size for file in variant.files] == [1, 2, 3]
    assert variant.size == 6
    assert find_variants(files[:2]) == []


def test_a_part_that_is_missing_has_a_name() -> None:
    files = [HubFile(f"Q4_K_M/m-Q4_K_M-{n:05}-of-00003.gguf", 1) for n in (1, 2, 3)]
    others = [HubFile("m-Q8_0.gguf", 1), HubFile("mmproj-00001-of-00002.gguf", 1), HubFile("x.json", 1)]
    assert missing_part([*others, *files]) == ""
    for file in files:
        left = [one for one in files if one is not file]
        assert missing_part([*others, *left]) == file.name
    assert missing_part(files[2:]) == files[0].name
    odd = [HubFile("m-00000-of-00001.gguf", 1), HubFile("m-00001-of-99999.gguf", 1)]
    assert find_variants(odd) == []
    assert missing_part(odd[1:]) == "m-00002-of-99999.gguf"


@pytest.mark.parametrize("wanted", ["Q5_K_M", "q5_k_m", "Qwen3-8B-Q5_K_M.gguf", "qwen3-8b-q5_k_m.GGUF"])
def test_a_variant_is_asked_for_by_tag_or_by_file(wanted: str) -> None:
    assert choose_named(find_variants(USUAL), wanted, "a/b").label == "Q5_K_M"


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("wanted", ["A-Q8_0.gguf", "a-q8_0.gguf"])
def test_of_files_that_differ_in_case_the_one_that_was_written_is_taken(wanted: str, order: int) -> None:
    both = [HubFile("A-Q8_0.gguf", 1), HubFile("a-q8_0.gguf", 1)][::order]
    for variants in (find_variants(both), find_variants(both)[::-1]):
        assert choose_named(variants, wanted, "a/b").files[0].path == wanted


@pytest.mark.parametrize("wanted", ["Q3_K_M", "Q4", "K_M", "_M", "8B-Q9", ".gguf", "x.gguf"])
def test_an_unmatched_tag_lists_what_there_is(wanted: str) -> None:
    with pytest.raises(ModelNotFound, match=rf"`a/b` has no `{wanted}`") as caught:
        choose_named(find_variants(USUAL), wanted, "a/b")
    assert "`Q4_K_M` (5.0 GB), `Q5_0` (5.7 GB)" in (caught.value.hint or "")


def test_the_plain_quantization_wins_over_those_that_end_alike() -> None:
    both = [HubFile("m-UD-Q4_K_M.gguf", 1), HubFile("model-Q4_K_M.gguf", 2), HubFile("m-UD-Q4_K_XL.gguf", 3)]
    assert choose_named(find_variants(both), "q4_k_m", "a/b").files[0].path == "model-Q4_K_M.gguf"
    assert choose_named(find_variants(both), "ud-q4_k_m", "a/b").files[0].path == "m-UD-Q4_K_M.gguf"
    assert choose_named(find_variants(both), "q4_k_xl", "a/b").label == "UD-Q4_K_XL"


@pytest.mark.parametrize(
    ("room", "label", "why"),
    [
        (100, "Q8_0", "the best of the usual ones"),
        (8, "Q6_K", "Q8_0 would not run well in this memory"),
        (5.95, "Q5_K_M", "Q6_K would not run well in this memory"),
        (5.5, "Q4_K_M", "Q5_K_M would not run well in this memory"),
        (1, "Q4_K_M", "nothing here runs well in this memory, and this is the smallest usual one"),
    ],
)
def test_the_largest_usual_one_that_runs_well_is_taken(room: float, label: str, why: str) -> None:
    variant, reason = choose_fitting(find_variants(USUAL), lambda size: size <= room * GB)
    assert (variant.label, reason) == (label, why)


def test_where_nothing_usual_is_what_there_is_counts() -> None:
    others = find_variants(repository(IQ2_M=3, Q3_K_S=3.8, BF16=16))
    assert choose_fitting(others, lambda size: size <= 4 * GB)[0].label == "Q3_K_S"
    assert choose_fitting(others, lambda size: False)[0].label == "IQ2_M"
    only = find_variants(repository(Q8_0=0.6))
    assert choose_fitting(only, lambda size: True)[0].label == "Q8_0"


def test_what_is_not_quantized_is_taken_last() -> None:
    small = find_variants(repository(Q4_K_S=0.4, F32=2.4, F16=1.2, BF16=1.2))
    assert choose_fitting(small, lambda size: True)[0].label == "Q4_K_S"
    assert choose_fitting(small, lambda size: False)[0].label == "Q4_K_S"
    (plain, bf16) = find_variants([HubFile("m.gguf", 10), HubFile("m-bf16.gguf", 20)])
    assert choose_fitting([plain, bf16], lambda size: True)[0] is bf16
    assert choose_fitting([plain, bf16], lambda size: False)[0] is plain
