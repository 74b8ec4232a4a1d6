"""Seeded samples of the long suites, each of a few seconds."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.models.fetching import Shop
from tests.torture import installs, pulls
from tests.torture.full_disk import CASES, run_cases
from tests.torture.kills import Mode, Scene
from tests.torture.steps import PHASES, phases
from tests.torture.truncations import every_cut

pytestmark = pytest.mark.skipif(os.name == "nt", reason="SIGKILL, locks and disks of POSIX")


SAMPLE = {
    Mode(store=False, over=False): ("making the file", "header", "middle pieces", "sync of its folder"),
    Mode(store=True, over=True): (
        "late pieces",
        "rename of the file",
        "manifest",
        "installing",
        "cleaning up",
    ),
}


@pytest.mark.parametrize("mode", SAMPLE, ids=str)
def test_a_kill_at_any_moment_leaves_the_old_or_the_new(mode: Mode, tmp_path: Path) -> None:
    scene = Scene(tmp_path, [mode])
    chosen = {scene.phase(moment): moment for moment in scene.moments(60)}
    killed = [scene.strike(chosen[phase], number) for number, phase in enumerate((*SAMPLE[mode], None))]
    assert {one.phase for one in killed if one} >= {*SAMPLE[mode]}


def test_a_download_that_is_killed_is_continued(tmp_path: Path) -> None:
    with Shop(pulls.BUFFER) as shop:
        scene = pulls.Pulls(tmp_path, shop, 40_000_000)
        chosen = dict(scene.strikes(40))
        phases = ("making the files", "middle chunks", "sync", "rename", None)
        cuts = [scene.strike(chosen[phase], number) for number, phase in enumerate(phases)]
    found = [cut for cut in cuts if cut]
    assert len(found) >= 4
    assert max(cut.again for cut in found) <= pulls.ALLOWED


def test_a_pull_that_is_killed_leaves_nothing_or_the_model(tmp_path: Path) -> None:
    with installs.Installs(tmp_path, 1) as scene:
        strikes = [one for one in scene.strikes(80) if one[1].seconds is None]
        # Of each road a few steps from all over it.
        chosen = [*strikes[: 2 * 4 : 2], *strikes[-24::4]]
        killed = [scene.strike(road, strike, number) for number, (road, strike) in enumerate(chosen)]
    assert len({one.phase for one in killed if one}) >= 4


def test_a_full_disk_is_told_with_figures_and_leaves_nothing(tmp_path: Path) -> None:
    chosen = [case for case in CASES if case.name in ("-o: full in the middle", "--as: too small")]
    told = run_cases(tmp_path, chosen)
    if isinstance(told, str):
        pytest.skip(f"no disk can be mounted here: {told}")
    assert [one.problem for one in told] == [None, None], told


def test_no_file_that_is_cut_off_is_taken_for_whole(tmp_path: Path) -> None:
    for name, refused, taken in every_cut(tmp_path):
        assert taken == [], name
        assert refused >= 400, name


def steps(text: str) -> Sequence[str]:
    return text.replace(", ", "\n").splitlines()


def test_steps_tell_their_phase(tmp_path: Path) -> None:
    model, store = tmp_path / "model", tmp_path / "home" / "models"
    made = f"{store}/.unfinished-1"
    taken = steps(
        f"os.mkdir {store}, lock , open {model}/config.json, open {made}/.model.gguf.partial, os.truncate ,"
        f" open {model}/model.safetensors, write , write , write , write , sync ,"
        f" os.rename {made}/.model.gguf.partial, open {made}, sync , open {made}/model.gguf, lock ,"
        f" open {made}/manifest.json, sync , os.rename {made}, sync , open {store}/tiny/manifest.json,"
        f" os.remove {made}.lock"
    )
    found = list(phases(taken, model))
    assert dict.fromkeys(found) == dict.fromkeys(PHASES[1:]), found
