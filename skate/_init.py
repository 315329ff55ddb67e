"""Sessions: how they start (`init` checks what users pass, and finds or starts an engine), and how they end."""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

from skate._addresses import host_in, is_here
from skate._version import RAY_VERSION
from skate.core import devices, runtime
from skate.core.environment import settle
from skate.core.plain import plain
from skate.engine.base import Engine, InitConfig

_ENGINES = ("local", "inline", "dask")
_atexit_installed = False
_driver_pid = 0
_joined = False
_shutdown_callbacks: list[Callable[[], object]] = []
_clusters: dict[str, Any] = {}
"""Simulated clusters of this process (`cluster_utils.Cluster`), by address."""


class ClientContext(Mapping[str, Any]):
    """What `init` returns: facts about the session, and a context manager that ends it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        info = engine.task_info()
        self.address_info: dict[str, Any] = {
            "node_ip_address": "127.0.0.1",
            "node_id": info.node_id,
            "address": engine.address,
            "gcs_address": engine.address,
            "session_dir": info.session_dir,
            "session_name": info.session_name,
            "raylet_socket_name": engine.address,
            "object_store_address": engine.address,
            "redis_address": None,
            "metrics_export_port": 0,
            "dashboard_agent_listen_port": 0,
            "webui_url": "",
            "namespace": info.namespace,
        }
        self.dashboard_url = ""
        self.python_version = ".".join(map(str, __import__("sys").version_info[:3]))
        self.ray_version = RAY_VERSION
        self.ray_commit = ""

    def __getitem__(self, key: str) -> Any:
        return self.address_info[key]

    def __iter__(self) -> Any:
        return iter(self.address_info)

    def __len__(self) -> int:
        return len(self.address_info)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        shutdown()

    def disconnect(self) -> None:
        """End the session, as `shutdown()` does."""
        shutdown()

    def __repr__(self) -> str:
        if runtime.engine is not self._engine:
            return "Context(ended)"
        facts = [f"engine={self._engine.name!r}"]
        for name, amount in self._engine.cluster_resources().items():
            if name in ("CPU", "GPU"):
                facts.append(f"num_{name.lower()}s={amount:g}")
            elif ":" not in name and not name.endswith("memory"):
                facts.append(f"{name}={amount:g}")
        facts.append(f"python_version={self.python_version!r}")
        return f"Context({', '.join(facts)})"

    def _repr_html_(self) -> str:
        import html

        return f"<b>Skate</b> {html.escape(repr(self))}"


def init(
    address: str | None = None,
    *,
    num_cpus: float | None = None,
    num_gpus: float | None = None,
    resources: Mapping[str, float] | None = None,
    labels: Mapping[str, str] | None = None,
    object_store_memory: int | None = None,
    local_mode: bool = False,
    ignore_reinit_error: bool = False,
    include_dashboard: bool | None = None,
    dashboard_host: str = "127.0.0.1",
    dashboard_port: int | None = None,
    job_config: Any = None,
    configure_logging: bool = True,
    logging_level: int | str = "info",
    logging_format: str | None = None,
    logging_config: Any = None,
    log_to_driver: bool | None = None,
    namespace: str | None = None,
    runtime_env: Mapping[str, Any] | None = None,
    engine: str | None = None,
    preload: Sequence[str] = (),
    seed: int | None = None,
    object_spilling_directory: str | None = None,
    record: str | None = None,
    **kwargs: Any,
) -> ClientContext:
    """Start a session.

    Args:
        address: "local" starts a session on this machine; "auto" joins the youngest one that runs, as "ray://HOST:PORT" and
            "HOST:PORT" of this machine do, and a session's name, folder or address joins that one; "dask://HOST:PORT" joins the
            Dask cluster with that scheduler. None joins the session that `skate start` has started, if there is one and no
            argument says what resources there shall be, and else starts one.
            SKATE_ADDRESS and RAY_ADDRESS in the environment stand in for None. The address of a `cluster_utils.Cluster` starts a
            session that simulates it.
        num_cpus: CPUs that tasks may hold at once; default: those this process may use.
        num_gpus: GPUs; default: those this process sees.
        resources: Custom resources by name.
        labels: Labels of this machine.
        object_store_memory: Bytes of shared memory for large objects, beyond which they go to disk; default: 30 % of the machine's.
        local_mode: The same as `engine="inline"`.
        ignore_reinit_error: Return the running session's context rather than raise when there is one.
        include_dashboard: Accepted for Ray's programs; there is no dashboard yet.
        dashboard_host: Accepted for Ray's programs.
        dashboard_port: Accepted for Ray's programs.
        job_config: A `JobConfig`, whose `runtime_env` and `ray_namespace` hold where those arguments are left out.
        configure_logging: Whether to set the level of the "skate" logger to `logging_level`.
        logging_level: A level of the `logging` module.
        logging_format: Accepted for Ray's programs.
        logging_config: A `LoggingConfig`: how the root logger of this process and of every worker is set up; default: not at all.
        log_to_driver: Whether what workers print is printed here too; default: yes.
        namespace: Where names of actors live; default: one of this session's own.
        runtime_env: The environment of all tasks and actors: `{"env_vars": {…}}`.
        engine: "local" (processes of this machine), "inline" (in this process, in a deterministic order) or "dask" (a Dask
            cluster: one of this program's own, unless `address` names another).
        preload: Modules that are imported once, before workers are forked.
        seed: For the inline engine: which order of ready tasks to run in.
        object_spilling_directory: Where objects go that shared memory has no room for; default: a temporary directory.
        record: "errors" keeps the function and arguments of each task that fails, for `skate replay`; None keeps nothing.
        **kwargs: Names with an underscore at the front that Ray takes; `_memory` is the "memory" resource in bytes,
            `_system_config` sets internals, `_tracing_startup_hook` turns tracing on (see `skate.util.tracing`).

    Returns:
        A context: a mapping of facts, and a context manager that ends the session.

    Raises:
        RuntimeError: a session runs already.
        ValueError, TypeError: an argument is wrong.

    Example:
        >>> import skate
        >>> with skate.init(num_cpus=2, ignore_reinit_error=True) as session:
        ...     skate.get(skate.put(1))
        1
    """
    with runtime.lock:
        if runtime.engine is not None:
            if ignore_reinit_error:
                return ClientContext(runtime.engine)
            raise RuntimeError(
                "Maybe you called ray.init twice by accident? A session is running already: call skate.shutdown() first, or pass "
                "ignore_reinit_error=True to keep it."
            )
        scheduler = _dask_address(address, engine)
        if scheduler is not None:
            address, engine = None, "dask"
        name = engine or ("inline" if local_mode else os.environ.get("SKATE_ENGINE", "local"))
        if name not in _ENGINES:
            raise ValueError(f"engine={name!r} is not one of {', '.join(map(repr, _ENGINES))}.")
        cluster = _find_cluster(address)
        resources_given = any(
            each is not None for each in (num_cpus, num_gpus, resources, labels, object_store_memory)
        )
        joins = (
            scheduler
            if cluster is not None or scheduler is not None
            else _session_to_join(name, address, resources_given)
        )
        if resources_given and (cluster is not None or joins is not None):
            raise ValueError(
                "When connecting to an existing cluster, num_cpus, num_gpus, resources, labels and object_store_memory must not be "
                'provided: they are its own. Leave them out, or start a session of your own with address="local".'
            )
        for unknown in kwargs:
            if not unknown.startswith("_") and unknown not in (
                "enable_resource_isolation",
                "cgroup_path",
                "proxy_server_url",
            ):
                if unknown not in ("system_reserved_cpu", "system_reserved_memory"):
                    raise RuntimeError(
                        f"init() got an unknown argument {unknown!r}{_did_you_mean(unknown)} "
                        "help(skate.init) lists those there are."
                    )
        _check_gpus(num_gpus)
        if configure_logging:
            import logging  # it costs a tenth of the whole import

            level = logging_level.upper() if isinstance(logging_level, str) else logging_level
            logging.getLogger("skate").setLevel(level)
        if getattr(job_config, "default_actor_lifetime", "non_detached") != "non_detached":
            raise ValueError(
                "job_config: default_actor_lifetime='detached' is not supported: give options(lifetime='detached') to the actors."
            )
        if runtime_env is not None and not isinstance(runtime_env, Mapping):
            raise TypeError(
                f"runtime_env={runtime_env!r}: a dict is needed, such as {{'env_vars': {{'A': '1'}}}}."
            )
        env = _with_job_env(dict(runtime_env or getattr(job_config, "runtime_env", None) or {}))
        space = namespace or getattr(job_config, "ray_namespace", None)
        config = InitConfig(
            num_cpus=_amount("num_cpus", num_cpus),
            num_gpus=_amount("num_gpus", num_gpus),
            resources=_resources(resources),
            labels=dict(labels or {}),
            memory=kwargs.get("_memory"),
            object_store_memory=_store_size(object_store_memory),
            namespace=checked_namespace(space),
            runtime_env=settle(env),
            log_to_driver=log_to_driver is not False,
            preload=tuple(preload),
            worker_setup=(
                *runtime.worker_setup,
                *_logging_setup(logging_config or getattr(job_config, "py_logging_config", None)),
            ),
            seed=seed,
            spill_directory=object_spilling_directory,
            system_config=dict(kwargs.get("_system_config") or {}),
            record=_record(record),
        )
        if cluster is not None:
            cluster._configure(config)
        if kwargs.get("_tracing_startup_hook"):
            from skate.util.tracing import tracing_helper

            tracing_helper.enable(kwargs["_tracing_startup_hook"])
        try:
            runtime.engine = _start(name, config, joins)
            runtime.sessions += 1
        except BaseException:
            runtime.tracer = None
            raise
        if cluster is not None:
            cluster._joined(runtime.engine)
        global _driver_pid, _joined
        _joined = joins is not None
        _driver_pid = os.getpid()
        global _atexit_installed
        if not _atexit_installed:
            atexit.register(shutdown)
            _atexit_installed = True
        return ClientContext(runtime.engine)


def _did_you_mean(unknown: str) -> str:
    from difflib import get_close_matches
    from inspect import signature

    close = get_close_matches(unknown, signature(init).parameters, n=1)
    return f": did you mean {close[0]!r}?" if close else "."


def shutdown(*, wait_for_processes: bool = False, _exiting_interpreter: bool = False) -> None:
    """End the session and everything it started. Without a session, nothing happens.

    Args:
        wait_for_processes: Accepted for Ray's programs: processes have always ended when this returns.
    """
    with runtime.lock:
        engine = runtime.engine
        if engine is None:
            return
        try:
            for callback in _shutdown_callbacks:
                callback()
        finally:
            try:
                engine.shutdown()
            finally:
                runtime.engine = None
                runtime.tracer = None


def is_initialized() -> bool:
    """Whether a session runs."""
    return runtime.engine is not None


def _is_driver() -> bool:
    """Whether the session was started, or joined, by this process."""
    return _driver_pid == os.getpid() and runtime.engine is not None


def has_joined() -> bool:
    """Whether this process has joined a session that somebody else has started."""
    return _joined and runtime.engine is not None


def _at_shutdown(callback: Callable[[], object]) -> None:
    """Call `callback()` in this process before each end of a session: for libraries that hold something of it."""
    _shutdown_callbacks.append(callback)


def _auto_init() -> None:
    init()


def _dask_address(address: str | None, engine: str | None) -> str | None:
    """The Dask scheduler that `init` is to join: of "dask://host:8786", "tcp://host:8786"; None if another engine was asked for."""
    if address is None or not address.startswith("dask://"):
        return None
    if engine not in (None, "dask"):
        raise ValueError(
            f"address={address!r} names a Dask cluster, and engine={engine!r} is another engine."
        )
    place = address.removeprefix("dask://")
    if not place.rpartition(":")[0] or not place.rpartition(":")[2].isdigit():
        raise ValueError(f"address={address!r}: it must be dask://HOST:PORT, such as dask://127.0.0.1:8786.")
    return f"tcp://{place}"


def _session_to_join(engine: str, given: str | None, has_resources: bool) -> str | None:
    """The address of the session to join; None to start one.

    Raises:
        ConnectionError: an address that can't be one.
    """
    named = os.environ.get("SKATE_ADDRESS") or os.environ.get("RAY_ADDRESS") or None
    address = named or given if given in (None, "auto") else given
    if address is None:
        if engine != "local" or has_resources:
            return None  # what there shall be describes a session to start
        from skate.engine.local import standing_session

        return standing_session()
    if address == "local":
        return None
    if engine != "local":
        raise ConnectionError(
            f"address={address!r}: a session of the {engine!r} engine can't be joined. Leave address out to start one."
        )
    host = host_in(address, ("ray",))
    if host is None:
        return address
    if not is_here(host):
        raise ConnectionError(
            f"address={address!r} is on another machine, and sessions are joined on their own: run the program there. A Dask cluster "
            "is joined by dask://HOST:PORT."
        )
    return "auto"


def _with_job_env(env: dict[str, Any]) -> dict[str, Any]:
    """A program's environment on top of that of the job that it runs in, if it does.

    Raises:
        ValueError: both say what a field or a variable is.
    """
    job = os.environ.get("SKATE_JOB")
    if not job:
        return env
    import json

    given: dict[str, Any] = json.loads(job)["runtime_env"]
    if os.environ.get("RAY_OVERRIDE_JOB_RUNTIME_ENV") != "1":
        twice = [name for name in env if name in given and name != "env_vars" and env[name] != given[name]]
        variables = given.get("env_vars", {})
        twice += [
            name for name, value in (env.get("env_vars") or {}).items() if variables.get(name, value) != value
        ]
        if twice:
            raise ValueError(
                f"Failed to merge the Job's runtime env with the one given to init(): both say what {', '.join(twice)} shall be. "
                "Leave it out of one of them, or set RAY_OVERRIDE_JOB_RUNTIME_ENV=1 to have init() decide."
            )
    merged = {**given, **env}
    if "env_vars" in given and env.get("env_vars"):
        merged["env_vars"] = {**given["env_vars"], **env["env_vars"]}
    return merged


def _start(name: str, config: InitConfig, joins: str | None) -> Engine:
    namespace = config.namespace
    if namespace is None:
        namespace = f"anonymous-{os.urandom(8).hex()}"
        config.namespace = namespace
    if config.record and name == "dask":
        raise ValueError(
            "record='errors' is for the local and the inline engine; the dask engine keeps no failed tasks."
        )
    if name == "inline":
        from skate.engine.inline import InlineEngine

        inline: Engine = InlineEngine(config, namespace)
        return inline
    if name == "dask":
        from skate.engine.dask.driver import DriverEngine

        on_dask: Engine = DriverEngine(config, namespace, joins)
        return on_dask
    from skate.engine.local import join_session, start_session

    return start_session(config, namespace) if joins is None else join_session(config, namespace, joins)


def _find_cluster(address: str | None) -> Any:
    if address == "auto" and _clusters:
        return next(reversed(_clusters.values()))
    return None if address is None else _clusters.get(address)


def _logging_setup(config: Any) -> tuple[tuple[str, tuple[Any, ...]], ...]:
    """Set up logging here, and what sets it up in workers."""
    if config is None:
        return ()
    from skate import _logging_config

    if not isinstance(config, _logging_config.LoggingConfig):
        raise TypeError(
            f"logging_config={config!r}: a skate.LoggingConfig is needed, got a {type(config).__name__}."
        )
    _logging_config.configure(config.to_dict())
    return (("skate._logging_config:configure", (config.to_dict(),)),)


def _amount(name: str, value: float | None) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name}={value!r}: a number is needed, got a {type(value).__name__}.")
    if value < 0:
        raise ValueError(f"{name}={value!r}: the number of {name[4:-1].upper()}s can't be negative.")
    if name == "num_gpus" and value != int(value):
        raise ValueError(
            f"num_gpus={value!r}: a machine has a whole number of GPUs (a task may ask for a fraction of one)."
        )
    return value


def _resources(given: Mapping[str, float] | None) -> dict[str, float]:
    found = dict(given or {})
    for name, amount in found.items():
        if name in ("CPU", "GPU"):
            raise ValueError(f"resources={{{name!r}: …}}: use num_{name.lower()}s= for that.")
        if isinstance(amount, bool) or not isinstance(amount, int | float):
            raise TypeError(f"resources={{{name!r}: {amount!r}}}: a number is needed.")
        if amount < 0:
            raise ValueError(f"resources={{{name!r}: {amount!r}}}: it can't be negative.")
        if amount != int(amount):
            raise ValueError(
                f"resources={{{name!r}: {amount!r}}}: what a machine has is a whole number (a task may ask for a fraction of it)."
            )
    return found


def _check_gpus(count: float | None) -> None:
    named = devices.visible()
    if count is not None and named is not None and count > len(named):
        raise ValueError(
            f"Attempting to start a session with {count:g} GPU, but {devices.VARIABLE} contains {named}: ask for fewer, or name more there."
        )


def _store_size(value: int | None) -> int | None:
    if value is None:
        return None
    least = 75 << 20
    if value < least:
        raise ValueError(f"object_store_memory={value!r}: at least {least} bytes (75 MiB) are needed.")
    return int(value)


def _record(value: str | None) -> str:
    if value is None:
        return ""
    if value != "errors":
        raise ValueError(f"record={value!r} is not 'errors' or None.")
    from skate.core import recording

    return recording.folder()


def checked_namespace(value: str | None) -> str | None:
    """A namespace as users give it.

    Raises:
        TypeError, ValueError: it is no string, or empty.
    """
    if value is None:
        return None
    if not isinstance(value, str):
        raise TypeError(f"namespace={value!r}: a string is needed, got a {type(value).__name__}.")
    if not value:
        raise ValueError(
            "namespace='': \"\" is not a valid namespace; leave it out for one of the session's own."
        )
    return plain(value)  # type: ignore[no-any-return]


runtime.auto_init = _auto_init
