from __future__ import annotations

import pytest

from skate import train

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")


def _result(*rows: dict[str, object]) -> train.Result:
    result = train.Result({}, None, None, "/tmp/run")
    result._history = list(rows)
    return result


def test_metrics_are_drawn_from_report_to_report() -> None:
    import matplotlib.pyplot as plt

    result = _result({"loss": 3, "name": "a"}, {"loss": 2, "late": 1}, {"loss": 1})
    axes = result.plot()
    lines = {line.get_label(): list(zip(*line.get_data(), strict=True)) for line in axes.get_lines()}
    assert lines == {"loss": [(0, 3), (1, 2), (2, 1)], "late": [(1, 1)]}
    assert result.plot("loss", ax=axes) is axes
    with pytest.raises(ValueError, match="there is nothing to draw"):
        result.plot("other")
    plt.close("all")
