from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from skate import train
from skate.train import collective

pytest.importorskip("lightgbm")
pytestmark = pytest.mark.usefixtures("session")
_PARAMETERS = {"objective": "binary", "metric": ["binary_logloss"], "verbose": -1, "min_data_in_leaf": 5}


def test_two_workers_make_one_model(run_config: train.RunConfig) -> None:
    from skate.train.lightgbm import LightGBMTrainer, RayTrainReportCallback, get_network_params

    def function(config: dict[str, Any]) -> Any:
        import lightgbm
        import numpy as np

        rank = train.get_context().get_world_rank()
        x = np.linspace(-1, 1, 200)[rank::2].reshape(-1, 1)
        rows = lightgbm.Dataset(x, label=(x[:, 0] > 0).astype(float))
        network = get_network_params()
        model = lightgbm.train(
            {**config, "tree_learner": "data_parallel", "pre_partition": True, **network},
            rows,
            num_boost_round=3,
            valid_sets=[rows],
            valid_names=["train"],
            callbacks=[RayTrainReportCallback(frequency=2)],
        )
        trees = model.dump_model()["tree_info"]
        assert collective.broadcast_from_rank_zero(trees) == trees, "all ranks have the same model"
        return network

    trainer = LightGBMTrainer(
        function,
        train_loop_config=_PARAMETERS,
        scaling_config=train.ScalingConfig(num_workers=2),
        run_config=run_config,
    )
    result = trainer.fit()
    network = result.return_value
    assert network["num_machines"] == 2 and len(network["machines"].split(",")) == 2
    assert str(network["local_listen_port"]) in network["machines"].split(",")[0]
    assert result.metrics is not None and set(result.metrics) == {"train-binary_logloss"}
    assert result.checkpoint is not None and len(result.best_checkpoints or []) == 2
    model = LightGBMTrainer.get_model(result.checkpoint)
    assert model.num_trees() == 3 and model.predict([[0.5]])[0] > 0.5 > model.predict([[-0.5]])[0]


def test_one_worker_needs_no_network(run_config: train.RunConfig) -> None:
    from skate.train.lightgbm import LightGBMTrainer, get_network_params

    result = LightGBMTrainer(lambda: get_network_params(), run_config=run_config).fit()
    assert result.return_value.get("num_machines", 1) == 1
    assert get_network_params() == {}, "outside of a run"


def test_arguments_of_the_past() -> None:
    from skate.train.lightgbm import LightGBMTrainer

    with pytest.raises(DeprecationWarning, match=r"LightGBMTrainer\(label_column\)"):
        LightGBMTrainer(lambda: None, label_column="y")


def test_a_checkpoint_with_a_booster(tmp_path: Path) -> None:
    import lightgbm
    import numpy as np

    from skate.train.lightgbm import LightGBMCheckpoint

    x = np.linspace(-1, 1, 50).reshape(-1, 1)
    booster = lightgbm.train(_PARAMETERS, lightgbm.Dataset(x, label=(x[:, 0] > 0).astype(float)), 2)
    checkpoint = LightGBMCheckpoint.from_model(booster, preprocessor={"scale": 2}, path=str(tmp_path))
    assert checkpoint.path == str(tmp_path) and (tmp_path / "model.txt").exists()
    again = LightGBMCheckpoint(checkpoint.path)
    assert again.get_preprocessor() == {"scale": 2}
    assert np.array_equal(again.get_model().predict(x), booster.predict(x))


def test_frames_get_types_that_lightgbm_reads() -> None:
    import pandas as pd
    import pyarrow as pa

    from skate.train.lightgbm import normalize_pandas_for_lightgbm

    frame = pd.DataFrame(
        {
            "plain": [1.5, 2.5],
            "own": pd.array([1, None], dtype="Int32"),
            "whole": pd.Series([1, None], dtype=pd.ArrowDtype(pa.uint8())),
            "float": pd.Series([1.0, None], dtype=pd.ArrowDtype(pa.float32())),
            "truth": pd.Series([True, None], dtype=pd.ArrowDtype(pa.bool_())),
            "text": pd.Series(["a", "b"], dtype=pd.ArrowDtype(pa.string())),
        }
    )
    found = normalize_pandas_for_lightgbm(frame)
    types = ["float64", "Int32", "UInt8", "Float32", "boolean", "string[pyarrow]"]
    assert [str(each) for each in found.dtypes] == types
    assert found["whole"][0] == 1 and found[["own", "whole", "float", "truth"]].isna().loc[1].all()
    assert str(frame["float"].dtype) == "float[pyarrow]", "the frame that was passed stays as it is"
