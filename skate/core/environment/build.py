"""Making a virtual environment with what pip or uv installs. The node runs this as a process: `python -m skate.core.environment.build`.

It reads a settled environment as JSON from its standard input and prints one line of JSON: `{"site": …, "python": …}`, or
`{"error": …}` with the tool's own last lines.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
import shutil
import subprocess
import sys
from typing import Any

from skate.core.environment import cache

_LAST_LINES = 20


class BuildError(Exception):
    """A tool ended with an error."""


def key_of(env: dict[str, Any]) -> str:
    """The name of the cache's entry for what an environment installs."""
    wanted = {"pip": env.get("pip"), "uv": env.get("uv"), "python": sys.version, "prefix": sys.prefix}
    return f"venv-{hashlib.sha256(json.dumps(wanted, sort_keys=True).encode()).hexdigest()[:32]}"


def build(env: dict[str, Any]) -> dict[str, str]:
    """The virtual environment of a settled environment: its interpreter and its folder of packages.

    Raises:
        BuildError: the tool failed.
    """
    path = cache.entry(key_of(env), lambda target: _make(target, env))
    return {"site": _site(path), "python": os.path.join(path, "bin", "python")}


def _make(target: str, env: dict[str, Any]) -> None:
    _run([sys.executable, "-m", "venv", "--without-pip", target])
    packages = _site(target)
    with open(os.path.join(packages, "_parent.pth"), "w", encoding="utf-8") as file:
        # What is installed here already is seen there, and need not be installed again.
        parents = [path for path in sys.path if path.endswith("-packages")]
        file.write("".join(f"import site; site.addsitedir({path!r})\n" for path in parents))
    if env.get("uv"):
        _install_with_uv(target, env["uv"])
    else:
        _install_with_pip(target, env["pip"])


def _install_with_pip(target: str, spec: dict[str, Any]) -> None:
    python = os.path.join(target, "bin", "python")
    pip = [python, "-m", "pip", "--disable-pip-version-check", "--no-input"]
    version = spec.get("pip_version")
    if version:
        _run([*pip, "install", "--quiet", f"pip{version}"])
    _run([*pip, "install", *spec.get("pip_install_options", ()), *_split(spec["packages"])])
    if spec.get("pip_check"):
        _run([*pip, "check"])


def _install_with_uv(target: str, spec: dict[str, Any]) -> None:
    python = os.path.join(target, "bin", "python")
    uv = shutil.which(
        "uv", path=os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", "")])
    )
    if uv is None or spec.get("uv_version"):
        _run([python, "-m", "pip", "install", "--quiet", f"uv{spec.get('uv_version') or ''}"])
        uv = os.path.join(target, "bin", "uv")
    options = spec.get("uv_pip_install_options", ())
    _run([uv, "pip", "install", "--python", python, *options, *_split(spec["packages"])])
    if spec.get("uv_check"):
        _run([uv, "pip", "check", "--python", python])


def _split(packages: list[str]) -> list[str]:
    """Requirements as arguments: lines of a requirements file such as `-r more.txt` are two."""
    return [part for line in packages for part in (line.split(None, 1) if line.startswith("-") else [line])]


def _site(path: str) -> str:
    found = glob.glob(os.path.join(path, "lib", "python*", "site-packages"))
    if not found:
        raise BuildError(f"{path} has no folder of packages: python -m venv did not make one.")
    return found[0]


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        lines = (done.stdout + done.stderr).strip().splitlines()[-_LAST_LINES:]
        shown = " ".join(os.path.basename(part) if index == 0 else part for index, part in enumerate(command))
        raise BuildError(f"`{shown}` ended with code {done.returncode}:\n" + "\n".join(lines))


def main() -> int:
    """Build what standard input asks for, and print the answer."""
    if sys.platform == "linux":
        import ctypes
        import signal

        ctypes.CDLL(None).prctl(1, int(signal.SIGKILL), 0, 0, 0)  # no longer than the node
    try:
        answer = build(json.load(sys.stdin))
    except (BuildError, OSError) as error:
        answer = {"error": str(error)}
    sys.stdout.write(json.dumps(answer) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
