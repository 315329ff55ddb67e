"""Runs the examples in the docstrings of one module: ``python -m tests.docstrings skate.util``.

Docstrings are read from the source, since a class may say that it belongs to another module than its file's.
"""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import sys


def run_examples(name: str) -> doctest.TestResults:
    """Run every example in the module's source; those of one docstring share their names, as in a session."""
    module = importlib.import_module(name)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            where = f"{name}.{getattr(node, 'name', '')}"
            # As in a program of the reader's own, what an example defines belongs to __main__.
            names = {**vars(module), "__name__": "__main__"}
            text = ast.get_docstring(node) or ""
            first = getattr(node, "lineno", 1)
            runner.run(doctest.DocTestParser().get_doctest(text, names, where, module.__file__, first))
    return runner.summarize()


if __name__ == "__main__":
    result = run_examples(sys.argv[1])
    print(f"{result.attempted} examples, {result.failed} failures")
    sys.exit(bool(result.failed or not result.attempted))
