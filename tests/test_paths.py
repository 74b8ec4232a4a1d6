"""Where things live: together under `QWEN3_HOME`, else where the system keeps data and settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from qwen3cli.paths import Paths


def test_one_folder_holds_everything_where_a_home_is_chosen(tmp_path: Path) -> None:
    paths = Paths.of({"QWEN3_HOME": str(tmp_path)})
    assert (paths.config, paths.mcp, paths.tools) == (tmp_path, tmp_path / "mcp.json", tmp_path / "tools")


def test_settings_and_data_are_kept_apart_as_the_system_does(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import platformdirs

    def data(name: str, appauthor: object) -> str:
        return str(tmp_path / "d" / name)

    def config(name: str, appauthor: object) -> str:
        return str(tmp_path / "c" / name)

    monkeypatch.setattr(platformdirs, "user_data_dir", data)
    monkeypatch.setattr(platformdirs, "user_config_dir", config)
    paths = Paths.of({})
    assert (paths.mcp, paths.tools) == (
        tmp_path / "c" / "qwen3" / "mcp.json",
        tmp_path / "d" / "qwen3" / "tools",
    )
