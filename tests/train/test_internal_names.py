"""What programs import from paths that Ray calls internal."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from skate import train
from skate.train import _checkpoint, constants
from skate.train._internal import data_config, storage, utils
from skate.train.v2._internal.constants import (
    PREEMPTION_POLL_INTERVAL_S_ENV_VAR,
    V2_ENABLED_ENV_VAR,
    is_v2_enabled,
)
from skate.train.v2._internal.exceptions import RayTrainError


def test_they_are_the_public_ones() -> None:
    assert _checkpoint.Checkpoint is train.Checkpoint and data_config.DataConfig is train.DataConfig
    assert issubclass(train.TrainingFailedError, RayTrainError)
    assert (V2_ENABLED_ENV_VAR, is_v2_enabled()) == ("RAY_TRAIN_V2_ENABLED", True)
    assert PREEMPTION_POLL_INTERVAL_S_ENV_VAR == "RAY_TRAIN_PREEMPTION_POLL_INTERVAL_S"


def test_switches_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    name = constants.ENABLE_V2_MIGRATION_WARNINGS_ENV_VAR
    monkeypatch.delenv(name, raising=False)
    assert constants.env_bool(name, True) and not constants.env_bool(name, False)
    monkeypatch.setenv(name, "0")
    assert not constants.env_bool(name, True)


def test_paths_of_a_trial(tmp_path: Path) -> None:
    context = storage.StorageContext(tmp_path, "exp", current_checkpoint_index=3)
    assert context.experiment_fs_path == f"{tmp_path}/exp" and Path(context.experiment_fs_path).is_dir()
    with pytest.raises(RuntimeError, match="without setting `trial_dir_name`"):
        _ = context.trial_fs_path
    context.trial_dir_name = "trial"
    assert context.checkpoint_fs_path == f"{tmp_path}/exp/trial/checkpoint_000003"


def test_files_are_moved(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "a.txt").write_text("a")
    fs, there = storage.get_fs_and_path(tmp_path / "there")
    assert not storage._exists_at_fs_path(fs, there)
    storage._upload_to_fs_path(str(tmp_path / "here"), fs, there)
    assert storage._list_at_fs_path(fs, there) == ["a.txt"]
    storage._download_from_fs_path(fs, there, str(tmp_path / "back"))
    assert (tmp_path / "back" / "a.txt").read_text() == "a"
    storage._delete_fs_path(fs, there)
    assert not storage._exists_at_fs_path(fs, there)
    with pytest.raises(ValueError, match="exclude="):
        storage._upload_to_fs_path(str(tmp_path / "here"), fs, there, exclude=["a.txt"])


def test_an_address_and_a_port() -> None:
    address, port = utils.get_address_and_port()
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as server:
        server.bind((address, port))
