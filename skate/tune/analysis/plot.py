"""Plots of a search: its history, what mattered, all parameters side by side, and each against the metric.

A plot is a Vega-Lite specification: plain data, which notebooks draw by themselves. vl-convert makes a page or a picture of it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from skate.tune.analysis.explain import Observed, importances_of, kind_of
from skate.tune.search.spaces import load as _load

__all__ = [
    "KINDS",
    "Plot",
    "plot",
]

_SCHEMA = "https://vega.github.io/schema/vega-lite/v5.json"
_PICKED = "picked"
_MOST_SLICES = 9


class Plot:
    """A plot, which can be shown and saved. The last expression of a notebook's cell, it shows itself.

    Args:
        spec: Its Vega-Lite specification.
    """

    def __init__(self, spec: dict[str, Any]) -> None:
        self.spec = spec

    def to_html(self) -> str:
        """An interactive page that needs no network: drag over trials to follow them through all panels.

        Raises:
            ImportError: vl-convert is not installed.
        """
        page: str = _converter().vegalite_to_html(json.dumps(self.spec), bundle=True)
        return page

    def to_png(self, scale: float = 2.0) -> bytes:
        """A picture.

        Args:
            scale: Pixels a point.

        Raises:
            ImportError: vl-convert is not installed.
        """
        picture: bytes = _converter().vegalite_to_png(json.dumps(self.spec), scale=scale)
        return picture

    def to_svg(self) -> str:
        """A drawing.

        Raises:
            ImportError: vl-convert is not installed.
        """
        drawing: str = _converter().vegalite_to_svg(json.dumps(self.spec))
        return drawing

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the plot to a file.

        Args:
            path: Its name; it ends in .html, .png, .svg or .json.

        Raises:
            ValueError: it ends in something else.
            ImportError: vl-convert is not installed.
        """
        file = Path(path)
        match file.suffix.lower():
            case ".html":
                file.write_text(self.to_html(), encoding="utf-8")
            case ".png":
                file.write_bytes(self.to_png())
            case ".svg":
                file.write_text(self.to_svg(), encoding="utf-8")
            case ".json":
                file.write_text(json.dumps(self.spec), encoding="utf-8")
            case other:
                raise ValueError(f"{file.name!r}: {other!r} is none of .html, .png, .svg and .json.")

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return {"application/vnd.vegalite.v5+json": self.spec, "text/plain": repr(self)}

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: show it in a notebook, or save('search.html'), save('search.png')>"


def _converter() -> Any:
    return _load("vl_convert", '"skate[plot]"')


def plot(seen: Observed, kind: str | None = None) -> Plot:
    """Draw a search.

    Args:
        seen: What it has tried.
        kind: One of `KINDS`; None: all of them on one page.

    Raises:
        ValueError: there is no such kind.
    """
    if kind is not None and kind not in KINDS:
        raise ValueError(f"kind={kind!r} is none of {list(KINDS)}; leave it out for all of them.")
    if kind is not None:
        body = KINDS[kind](seen, alone=True)
    else:
        top = {"hconcat": [_history(seen, alone=False), _importances(seen, alone=False)]}
        body = {"vconcat": [top, *(KINDS[each](seen, alone=False) for each in ("parallel", "slices"))]}
        body["resolve"] = {"scale": {"color": "independent"}}
    return Plot({"$schema": _SCHEMA, **body, "config": {"view": {"stroke": None}}})


def _rows(seen: Observed) -> list[dict[str, Any]]:
    better = min if seen.mode == "min" else max
    rows = []
    best: float | None = None
    for name, number, parameters, value in zip(
        seen.names, seen.numbers, seen.parameters, seen.values, strict=True
    ):
        best = value if best is None else better(best, value)
        fields = {
            f"p{at}": _plain(parameters[each]) for at, each in enumerate(seen.columns) if each in parameters
        }
        rows.append({"trial": name, "number": number, "value": value, "best": best, **fields})
    return rows


def _plain(value: Any) -> Any:
    if isinstance(value, bool | str) or value is None:
        return str(value)
    if hasattr(value, "item"):
        value = value.item()
    return value if isinstance(value, int | float) else repr(value)


def _color(seen: Observed, alone: bool) -> dict[str, Any]:
    """The metric as a color; trials that are not picked are grey."""
    scale = {"scheme": "viridis", "reverse": seen.mode == "min"}
    color = {"field": "value", "type": "quantitative", "title": seen.metric, "scale": scale}
    return color if alone else {"condition": {"param": _PICKED, **color}, "value": "#d4d4d4"}


def _tooltip(seen: Observed) -> list[dict[str, Any]]:
    shown = [("trial", "trial"), ("value", seen.metric)]
    shown += [(f"p{at}", name) for at, name in enumerate(seen.columns)]
    return [{"field": field, "title": title} for field, title in shown]


def _metric_axis(seen: Observed, field: str = "value") -> dict[str, Any]:
    return {"field": field, "type": "quantitative", "title": seen.metric, "scale": {"zero": False}}


def _history(seen: Observed, alone: bool) -> dict[str, Any]:
    x = {"field": "number", "type": "quantitative", "title": "trial"}
    points: dict[str, Any] = {
        "mark": {"type": "point", "filled": True, "size": 45},
        "encoding": {
            "x": x,
            "y": _metric_axis(seen),
            "color": _color(seen, alone),
            "tooltip": _tooltip(seen),
        },
    }
    points["params"] = (
        [{"name": "view", "select": "interval", "bind": "scales"}]
        if alone
        else [{"name": _PICKED, "select": {"type": "interval"}}]
    )
    line = {
        "mark": {"type": "line", "interpolate": "step-after", "color": "#b91c1c"},
        "encoding": {"x": x, "y": _metric_axis(seen, "best")},
    }
    return {
        "title": f"{seen.metric} by trial, and the best so far",
        "width": 460,
        "height": 260,
        "data": {"values": _rows(seen)},
        "layer": [points, line],
    }


def _importances(seen: Observed, alone: bool) -> dict[str, Any]:
    shares = importances_of(seen)
    return {
        "title": "what mattered",
        "width": 260,
        "height": 260,
        "data": {"values": [{"name": name, "share": share} for name, share in shares.items()]},
        "mark": {"type": "bar", "color": "#2563eb"},
        "encoding": {
            "y": {"field": "name", "type": "nominal", "sort": "-x", "title": None},
            "x": {"field": "share", "type": "quantitative", "title": "share", "axis": {"format": "%"}},
            "tooltip": [{"field": "name"}, {"field": "share", "format": ".1%"}],
        },
    }


def _parallel(seen: Observed, alone: bool) -> dict[str, Any]:
    rows, ends = [], []
    axes = [(name, _Axis(seen.column(name))) for name in seen.columns]
    axes.append((seen.metric, _Axis(seen.values)))
    for name, height in axes:
        ends += [{"axis": name, "at": height.of(value), "text": text} for value, text in height.marks]
    for at, trial in enumerate(seen.names):
        values = {**seen.parameters[at], seen.metric: seen.values[at]}
        rows += [
            {
                "trial": trial, "number": seen.numbers[at], "value": seen.values[at], "axis": name,
                "at": height.of(values[name]), "shown": str(values[name]),
            }
            for name, height in axes
            if name in values
        ]  # fmt: skip
    order = [name for name, _ in axes]
    x = {"field": "axis", "type": "nominal", "sort": order, "title": None, "axis": {"labelAngle": 0}}
    y = {"field": "at", "type": "quantitative", "axis": None}
    return {
        "title": "all parameters",
        "width": 760,
        "height": 260,
        "layer": [
            {
                "data": {"values": rows},
                "mark": {"type": "line", "opacity": 0.6},
                "encoding": {
                    "x": x,
                    "y": y,
                    "detail": {"field": "trial"},
                    "color": _color(seen, alone),
                    "tooltip": [{"field": "trial"}, {"field": "axis"}, {"field": "shown", "title": "value"}],
                },
            },
            {
                "data": {"values": ends},
                "mark": {"type": "text", "align": "left", "dx": 4, "fontSize": 10},
                "encoding": {"x": x, "y": y, "text": {"field": "text"}},
            },
        ],
    }


class _Axis:
    """Where the values of a parameter lie on its axis, from 0 to 1."""

    def __init__(self, values: list[Any]) -> None:
        import math

        self._kind = kind_of(values)
        if self._kind == "choice":
            self._choices = sorted({repr(value) for value in values})
            first = {repr(value): value for value in values}
            self.marks = [(first[each], str(first[each])) for each in self._choices]
            return
        self._scale = math.log if self._kind == "log" else float
        low, high = min(values), max(values)
        self._low, self._span = self._scale(low), (self._scale(high) - self._scale(low)) or 1.0
        self.marks = [(low, f"{low:.4g}"), (high, f"{high:.4g}")]

    def of(self, value: Any) -> float:
        if self._kind == "choice":
            return self._choices.index(repr(value)) / max(1, len(self._choices) - 1)
        return float((self._scale(value) - self._low) / self._span)


def _slices(seen: Observed, alone: bool) -> dict[str, Any]:
    shares = importances_of(seen)
    names = sorted(seen.columns, key=lambda name: -shares.get(name, 0.0))[:_MOST_SLICES]
    panels = []
    for name in names:
        kind = kind_of(seen.column(name))
        x: dict[str, Any] = {"field": f"p{seen.columns.index(name)}", "title": name}
        if kind == "choice":
            x["type"] = "nominal"
        else:
            x |= {
                "type": "quantitative",
                "scale": {"zero": False, "type": "log" if kind == "log" else "linear"},
            }
        panels.append(
            {
                "width": 220,
                "height": 200,
                "mark": {"type": "point", "filled": True, "size": 40},
                "encoding": {
                    "x": x,
                    "y": _metric_axis(seen),
                    "color": _color(seen, alone),
                    "tooltip": _tooltip(seen),
                },
            }
        )
    return {
        "title": f"{seen.metric} by each parameter",
        "data": {"values": _rows(seen)},
        "columns": 3,
        "concat": panels,
    }


KINDS = {"history": _history, "importances": _importances, "parallel": _parallel, "slices": _slices}
"""The kinds of plots by name."""
