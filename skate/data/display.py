"""How datasets and schemas look when they are printed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skate.data import convert
from skate.data.plan import logical as lg

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

_CELL = 40  # characters of a cell at most
_ROWS = 10  # rows that a table shows at most, half of them from its end


def schema_text(names: Sequence[str], types: Sequence[Any]) -> str:
    """A schema as two columns of text."""
    width = max(len("Column"), *(len(name) for name in names)) if names else len("Column")
    lines = [f"{'Column'.ljust(width)}  Type", f"{'------'.ljust(width)}  ----"]
    lines += [f"{name.ljust(width)}  {kind}" for name, kind in zip(names, types, strict=True)]
    return "\n".join(lines)


def _cut(text: str) -> str:
    return text if len(text) <= _CELL else text[: _CELL - 1] + "…"


def box(schema: pa.Schema, rows: list[list[Any]]) -> list[str]:
    """A table in a frame, with the names and types of its columns."""
    heads = [[_cut(f.name), "---", _cut(str(f.type))] for f in schema]
    cells = [[_cut(str(value)) for value in row] for row in rows]
    widths = [max(len(text) for text in (*head, *(row[i] for row in cells))) for i, head in enumerate(heads)]

    def line(texts: Sequence[str]) -> str:
        return "│ " + " ┆ ".join(text.ljust(width) for text, width in zip(texts, widths, strict=True)) + " │"

    def rule(left: str, fill: str, cross: str, right: str) -> str:
        return left + cross.join(fill * (width + 2) for width in widths) + right

    lines = [rule("╭", "─", "┬", "╮")]
    lines += [line(texts) for texts in zip(*heads, strict=True)]
    if cells:
        lines.append(rule("╞", "═", "╪", "╡"))
        lines += [line(row) for row in cells]
    lines.append(rule("╰", "─", "┴", "╯"))
    return lines


def describe_plan(dataset: Any) -> str:
    """A dataset that has not run: its columns if they are known, and otherwise its operators."""
    if dataset._cached is not None:
        return describe_table(dataset)
    schema = lg.known_schema(dataset._plan)
    name = [f"name: {dataset.name}"] if dataset.name else []
    if schema is None or len(schema) == 0:
        lines = _operators(dataset._plan)
        return "\n".join([*name, *lines])
    rows = lg.known_rows(dataset._plan)
    shape = f"shape: ({'?' if rows is None else rows}, {len(schema)})"
    return "\n".join([*name, shape, *box(schema, []), "(Dataset isn't materialized)"])


def _operators(plan: lg.Operator) -> list[str]:
    lines: list[str] = []
    depth = 0
    at = plan
    while isinstance(at, lg.Operator) and len(at.inputs) == 1:
        lines.append(f"{'   ' * (depth - 1)}{'+- ' if depth else ''}{at.name}")
        at, depth = at.inputs[0], depth + 1
    if len(at.inputs) > 1:
        lines.append(f"{'   ' * (depth - 1)}{'+- ' if depth else ''}{at.name}")
        for child in at.inputs:
            inner = _operators(child)
            pad = "   " * depth
            lines += [f"{pad}+- {inner[0]}", *(f"{pad}   {line}" for line in inner[1:])]
        return lines
    schema = lg.known_schema(at)
    rows = lg.known_rows(at)
    fields = "Unknown schema" if schema is None else None
    count = "?" if rows is None else rows
    pad = "   " * (depth - 1)
    lead = f"{pad}{'+- ' if depth else ''}"
    if fields is None and schema is not None:
        parts = [f"{f.name}: {f.type}" for f in schema]
        one = f"Dataset(num_rows={count}, schema={{{', '.join(parts)}}})"
        if len(one) <= 80:
            return [*lines, lead + one]
        margin = " " * len(lead)
        lines += [f"{lead}Dataset(", f"{margin}   num_rows={count},", f"{margin}   schema={{"]
        lines += [f"{margin}      {part}{',' if i < len(parts) - 1 else ''}" for i, part in enumerate(parts)]
        return [*lines, f"{margin}   }}", f"{margin})"]
    return [*lines, f"{lead}Dataset(num_rows={count}, schema={fields})"]


def describe_table(dataset: Any) -> str:
    """A dataset that has run: its first and last rows."""
    bundles = dataset._cached if dataset._cached is not None else dataset._plan.bundles
    total = sum(bundle.rows for bundle in bundles)
    schema = lg.known_schema(lg.InputData((), tuple(bundles)))
    name = [f"name: {dataset.name}"] if dataset.name else []
    if schema is None or total == 0:
        blocks = f"num_blocks={len(bundles)}, " if bundles else ""
        shown = (
            "Unknown schema"
            if schema is None
            else "{" + ", ".join(f"{f.name}: {f.type}" for f in schema) + "}"
        )
        return "\n".join([*name, f"MaterializedDataset({blocks}num_rows={total}, schema={shown})"])
    first = _head(bundles, _ROWS if total <= _ROWS else _ROWS // 2)
    rows = [list(row.values()) for row in _rows_of(first, schema)]
    shown_rows = len(rows)
    if total > _ROWS:
        last = _tail(bundles, _ROWS // 2)
        rows.append(["…"] * len(schema))
        rows += [list(row.values()) for row in _rows_of(last, schema)]
        shown_rows = _ROWS
    shape = f"shape: ({total}, {len(schema)})"
    return "\n".join([*name, shape, *box(schema, rows), f"(Showing {shown_rows} of {total} rows)"])


def _rows_of(table: pa.Table, schema: pa.Schema) -> Any:
    return convert.iter_rows(convert.align(table, schema) if table.schema != schema else table)


def _head(bundles: Sequence[Any], rows: int) -> pa.Table:
    parts: list[pa.Table] = []
    for bundle in bundles:
        if rows <= 0:
            break
        if bundle.rows:
            parts.append(bundle.table.slice(0, rows))
            rows -= parts[-1].num_rows
    return convert.concat(parts)


def _tail(bundles: Sequence[Any], rows: int) -> pa.Table:
    parts: list[pa.Table] = []
    for bundle in reversed(bundles):
        if rows <= 0:
            break
        if bundle.rows:
            parts.insert(0, bundle.table.slice(max(0, bundle.rows - rows)))
            rows -= parts[0].num_rows
    return convert.concat(parts)


__all__ = ["box", "describe_plan", "describe_table", "schema_text"]
