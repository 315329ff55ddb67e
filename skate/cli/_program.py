"""Running a script or a module as `__main__`, as the interpreter does for `python script.py` and `python -m module`."""

from __future__ import annotations

import importlib.util
import io
import os
import sys
from collections.abc import Callable, Sequence
from importlib.abc import InspectLoader
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType, TracebackType
from typing import Any, NamedTuple, Never

from skate.compat._missing import PAGE


class Program(NamedTuple):
    """What is to be run as `__main__`."""

    code: CodeType
    file: str | None
    loader: Any
    spec: ModuleSpec | None
    argv0: str


def run(load: Callable[[str], Program], target: str, arguments: Sequence[str]) -> None:
    """Run a program in this process as its `__main__`.

    Args:
        load: Finds the program and compiles it; `from_path` or `from_module`.
        target: What to find.
        arguments: The program's own arguments.

    Raises:
        BaseException: what the program did not catch. It has been shown without the frames of this file, and is not shown again.
    """
    sys.argv[:] = [target, *arguments]
    try:
        program = load(target)
        sys.argv[0] = program.argv0
        main = ModuleType("__main__")
        vars(main).update(
            __loader__=program.loader,
            __spec__=program.spec,
            __package__=program.spec.parent if program.spec else None,
            __cached__=program.spec.cached if program.spec else None,
            __annotations__={},
            __builtins__=__builtins__,
        )
        if program.file is not None:
            main.__file__ = program.file
        sys.modules["__main__"] = main
        exec(program.code, vars(main))
    except SystemExit:
        raise
    except BaseException as error:
        _explain(error)
        traceback = _without_ours(error.__traceback__)
        sys.excepthook(type(error), error.with_traceback(traceback), traceback)
        # Raised on, so that the interpreter ends as it does after any error: code 1, or by SIGINT after Ctrl-C.
        sys.excepthook = _shown_already
        raise


def from_path(path: str) -> Program:
    """The program in a file, in a directory or archive that has a `__main__.py`, or, for "-", in what comes on standard input.

    Raises:
        SystemExit: there is none.
    """
    if path == "-":
        _set_first_path("")
        return Program(
            compile(sys.stdin.buffer.read(), "<stdin>", "exec", dont_inherit=True), None, None, None, path
        )
    where = os.path.realpath(path)
    if not os.path.isfile(where) or where.endswith((".zip", ".pyz")):
        spec = PathFinder.find_spec("__main__", [where])
        if spec is None:
            reason = "it has no __main__.py" if os.path.exists(where) else "there is no such file"
            _refuse(f"can't run {path!r}: {reason}.", 1 if os.path.exists(where) else 2)
        _set_first_path(where)
        return _from_spec(spec, path)
    _set_first_path(os.path.dirname(where))
    file = os.path.join(os.getcwd(), path)
    try:
        with io.open_code(file) as source:
            code = compile(source.read(), file, "exec", dont_inherit=True)
    except OSError as error:
        _refuse(f"can't read {path!r}: {error.strerror}.", 2)
    return Program(code, file, SourceFileLoader("__main__", file), None, path)


def from_module(name: str) -> Program:
    """The program in a module, or in a package's `__main__`.

    Raises:
        SystemExit: there is none, or it has no code.
    """
    _set_first_path(os.getcwd())
    spec = _find(name)
    if spec is not None and spec.submodule_search_locations is not None:
        spec = _find(f"{name}.__main__")
        if spec is None:
            _refuse(f"{name!r} is a package and has no __main__.py, so it can't be run.", 1)
    if spec is None:
        _refuse(f"No module named {name!r}.", 1)
    return _from_spec(spec, spec.origin or name)


def _find(name: str) -> ModuleSpec | None:
    try:
        return importlib.util.find_spec(name)
    except ModuleNotFoundError as error:
        # A parent is missing; what a parent's own code fails to import is the program's error.
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            return None
        raise


def _from_spec(spec: ModuleSpec, argv0: str) -> Program:
    code = spec.loader.get_code(spec.name) if isinstance(spec.loader, InspectLoader) else None
    if code is None:
        _refuse(f"{spec.name!r} has no Python code ({spec.origin}), so it can't be run.", 1)
    return Program(code, spec.origin or argv0, spec.loader, spec, argv0)


def _set_first_path(path: str) -> None:
    """Put the program's directory where the interpreter put that of `skate`."""
    if not sys.flags.safe_path:
        sys.path[0] = path


def _refuse(why: str, code: int) -> Never:
    print(f"skate run: {why}", file=sys.stderr)
    raise SystemExit(code)


def _without_ours(traceback: TracebackType | None) -> TracebackType | None:
    while traceback is not None and traceback.tb_frame.f_code.co_filename == __file__:
        traceback = traceback.tb_next
    return traceback


def _explain(error: BaseException) -> None:
    """Say where missing names are listed, under an error about one."""
    if isinstance(error, ImportError):
        owner = error.name or ""
    elif isinstance(error, AttributeError) and isinstance(error.obj, ModuleType):
        owner = error.obj.__name__
    else:
        return
    if owner.partition(".")[0] == "skate" and PAGE not in str(error):
        error.add_note(f"Which of Ray's names Skate does not have, and why, stands in {PAGE}.")


def _shown_already(*_error: object) -> None:
    """An excepthook for an error that the user has seen."""
