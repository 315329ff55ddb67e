"""The numbers of messages."""

from __future__ import annotations

import ast
import inspect

from skate.engine.local import protocol


def test_no_number_means_two_messages() -> None:
    seen: dict[int, str] = {}
    for node in ast.parse(inspect.getsource(protocol)).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            (target,) = node.targets
            assert isinstance(target, ast.Name)
            number = node.value.value
            if isinstance(number, int) and not target.id.startswith(("_", "ARGS_")):
                assert number not in seen, f"{target.id} and {seen[number]} are both {number}"
                seen[number] = target.id
    assert len(seen) > 50
