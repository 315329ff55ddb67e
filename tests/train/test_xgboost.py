from __future__ import annotations

from typing import Any

import pytest

from skate import train

pytest.importorskip("xgboost")
pytestmark = pytest.mark.usefixtures("session")


def test_two_workers_make_one_model(run_config: train.RunConfig) -> None:
    from skate.train.xgboost import RayTrainReportCallback, XGBoostTrainer

    def function(config: dict[str, Any]) -> tuple[int, int]:
        import numpy as np
        import xgboost

        rank = train.get_context().get_world_rank()
        x = np.linspace(-1, 1, 200)[rank::2].reshape(-1, 1)
        rows = xgboost.DMatrix(x, label=(x[:, 0] > 0).astype(float))
        xgboost.train(
            config, rows, num_boost_round=3, evals=[(rows, "train")], callbacks=[RayTrainReportCallback()]
        )
        return xgboost.collective.get_rank(), xgboost.collective.get_world_size()

    trainer = XGBoostTrainer(
        function,
        train_loop_config={"objective": "binary:logistic", "tree_method": "hist"},
        scaling_config=train.ScalingConfig(num_workers=2),
        run_config=run_config,
    )
    result = trainer.fit()
    assert result.return_value == (0, 2)
    assert result.metrics is not None and set(result.metrics) == {"train-logloss"}
    assert result.checkpoint is not None and len(result.best_checkpoints or []) == 1
    assert XGBoostTrainer.get_model(result.checkpoint).num_boosted_rounds() == 3


def test_arguments_of_the_past() -> None:
    from skate.train.xgboost import XGBoostConfig, XGBoostTrainer

    with pytest.raises(DeprecationWarning, match=r"XGBoostTrainer\(params\)"):
        XGBoostTrainer(lambda: None, params={"eta": 1})
    with pytest.raises(NotImplementedError, match="'rabit'"):
        XGBoostConfig("gossip")
