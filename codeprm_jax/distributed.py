"""Several processes that train as one: where each stands, how JAX is started, how failure ends.

`session` surrounds the work of a command. One process alone, such as a laptop's, opens no port and
asks no network. With several, process 0 listens at the coordinator's address until all have come
(`codeprm_jax.peers`), JAX is started among them, and from then on the loss of one ends the others:
with one line that names it, and exit code 1.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import json
import logging
import os
import signal
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jax

from codeprm_jax.files import InputError, RunError, listed
from codeprm_jax.peers import LostPeerError, Peers, join, wait_for_all

logger = logging.getLogger(__name__)

# After a failed collective or barrier: how long to wait for the news of who is gone, in seconds.
_NEWS_S = 2.0
_AGREE_S = 300.0  # for process 0 to come to the same point


@dataclass(frozen=True)
class HostsConfig:
    """Which of how many processes this one is; no part of what a run is compared by.

    All of it is found by itself in a SLURM step and on TPU slices; elsewhere it comes from these
    options or from JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID, options first.

    Attributes:
      coordinator: HOST:PORT at which process 0 can be reached by all.
      num_processes: how many processes the run has.
      process_id: of this process, from 0.
      start_timeout: seconds to wait until all processes have come.
      heartbeat_timeout: seconds after which a silent process counts as lost; one that dies is
        noticed at once.
    """

    coordinator: str | None = None
    num_processes: int | None = None
    process_id: int | None = None
    start_timeout: int = 300
    heartbeat_timeout: int = 100

    def __post_init__(self) -> None:
        for name in ("start_timeout", "heartbeat_timeout"):
            if getattr(self, name) < 1:
                raise InputError(f"hosts.{name} must be at least 1 s: {getattr(self, name)}")


@dataclass(frozen=True)
class Processes:
    """Where this process stands.

    Attributes:
      process_id: of this process, from 0.
      num_processes: of the run.
      coordinator: host and port of process 0; None where there is one process only.
      local_devices: the GPUs of this host that are this process's; None takes all it sees.
      source: what said so, for messages.
    """

    process_id: int = 0
    num_processes: int = 1
    coordinator: tuple[str, int] | None = None
    local_devices: tuple[int, ...] | None = None
    source: str = ""


@contextlib.contextmanager
def session(hosts: HostsConfig, program: str = "codeprm") -> Iterator[Processes]:
    """Starts JAX among all processes, and ends them together.

    To be entered once, before anything that makes JAX look for its devices. An exception that
    leaves the block is told to the other processes, which then stop with that message; the process
    itself is ended before JAX's exit hooks would wait for the others, with exit code 2 after an
    InputError or wrong usage and 1 after anything else.

    Raises:
      InputError: settings that are incomplete or contradict each other, here or between processes.
      RunError: the others cannot be reached; as LostPeerError, one of them is gone.
    """
    global _peers
    processes = resolve(hosts, os.environ)
    if processes.coordinator is None:
        yield processes
        return
    _peers = peers = _meet(processes, hosts)
    peers.program = program
    try:
        _start_jax(processes, peers, hosts)
        yield processes
        peers.done()
        jax.distributed.shutdown()
    except BaseException as error:
        # What is known to be no consequence of a loss is reported as it is, and at once.
        own = isinstance(error, (InputError, RunError)) or not isinstance(error, Exception)
        loss = None if own else peers.wait_for_loss(_NEWS_S)
        usage = isinstance(error, InputError) or (isinstance(error, SystemExit) and error.code == 2)
        peers.fail(_reason(error), 2 if usage else 1)
        atexit.register(peers.leave)
        if loss is not None:
            raise LostPeerError(loss) from error
        raise
    _peers = None
    peers.close()


def agree(name: str, value: Any) -> None:
    """Makes sure that all processes of the session have the same `value` (JSON of some kB).

    All of them call it, in one order; `name` says what it is, as in "settings" or "data". A process
    alone agrees with itself.

    Raises:
      InputError: this process has another value than process 0; names the keys of it that differ.
      RunError: process 0 did not come to the same point within five minutes.
    """
    if _peers is None:
        return
    value = json.loads(json.dumps(value))
    if _peers.process == 0:
        _peers.tell(name, value)
        return
    first = _peers.hear(name, _AGREE_S)
    if differing := _differing(first, value):
        which = f" ({listed([d for d in differing if d])})" if any(differing) else ""
        raise InputError(
            f"process {_peers.process} on {socket.gethostname()} has other {name} than process 0"
            f"{which}: give all processes the same arguments and files"
        )


_peers: Peers | None = None  # of the session that is on


def _differing(first: Any, second: Any, prefix: str = "") -> list[str]:
    """Dotted names of what differs in two JSON values."""
    if isinstance(first, dict) and isinstance(second, dict):
        names = sorted(first.keys() | second.keys())
        return [
            name
            for key in names
            for name in _differing(first.get(key), second.get(key), f"{prefix}{key}.")
        ]
    return [] if first == second else [prefix.removesuffix(".")]


def _reason(error: BaseException) -> str:
    """What the other processes are told."""
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    if isinstance(error, SystemExit):
        return f"ended with exit code {error.code}"
    if isinstance(error, (InputError, RunError)):
        return str(error)
    return f"{type(error).__name__}: {error}"


def resolve(hosts: HostsConfig, environment: Mapping[str, str]) -> Processes:
    """Where this process stands, by options, environment, SLURM or TPU slice, in this order.

    Raises InputError for what is incomplete or contradictory.
    """
    coordinator = hosts.coordinator or environment.get("JAX_COORDINATOR_ADDRESS") or None
    num_processes = _number(hosts.num_processes, environment, "JAX_NUM_PROCESSES")
    process_id = _number(hosts.process_id, environment, "JAX_PROCESS_ID")
    given = (coordinator, num_processes, process_id)
    if coordinator is not None and num_processes is not None and process_id is None:
        # Kubernetes numbers the pods of an Indexed Job.
        process_id = _number(None, environment, "JOB_COMPLETION_INDEX")
    if num_processes == 1 and not process_id:
        return Processes(source="one process")
    local_devices: tuple[int, ...] | None = None
    source = "options or environment"
    if None in (coordinator, num_processes, process_id):
        found = _detect(hosts.start_timeout, environment)
        if found is not None:
            source = found.source
            local_devices = found.local_devices
            if num_processes is None:
                num_processes = found.num_processes
            if process_id is None:
                process_id = found.process_id
            if coordinator is None and found.coordinator is not None:
                coordinator = "{}:{}".format(*found.coordinator)
        elif given == (None, None, None):
            return Processes(source="one process")
    if num_processes == 1 and not process_id:
        return Processes(source=source)
    missing = [
        f"{option} (or {variable})"
        for value, option, variable in (
            (coordinator, "--hosts.coordinator", "JAX_COORDINATOR_ADDRESS"),
            (num_processes, "--hosts.num-processes", "JAX_NUM_PROCESSES"),
            (process_id, "--hosts.process-id", "JAX_PROCESS_ID"),
        )
        if value is None
    ]
    if coordinator is None or num_processes is None or process_id is None:
        raise InputError(
            f"a run of several processes needs {' and '.join(missing)} too: set all three, or none "
            "for a run of one process"
        )
    if not 0 <= process_id < num_processes:
        raise InputError(
            f"process {process_id} of {num_processes} cannot be: processes are numbered from 0 to "
            f"{max(num_processes - 1, 0)} (--hosts.process-id, --hosts.num-processes)"
        )
    return Processes(process_id, num_processes, _address(coordinator), local_devices, source)


def _number(option: int | None, environment: Mapping[str, str], name: str) -> int | None:
    if option is not None:
        return option
    text = environment.get(name, "").strip()
    if not text:
        return None
    if not text.isdigit():
        raise InputError(f"{name} is {text!r}: a whole number is needed")
    return int(text)


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise InputError(f"the coordinator's address is {text!r}: HOST:PORT is needed")
    return host, int(port)


def _detect(timeout: int, environment: Mapping[str, str]) -> Processes | None:
    """What JAX's own detection says, of SLURM steps and of TPU slices. It asks the network on
    machines with TPUs only."""
    # There is no public name for it; `jax.distributed.initialize` starts JAX at the same time.
    from jax._src import clusters

    if environment.get("SLURM_STEP_NUM_TASKS", environment.get("SLURM_NTASKS")) == "1":
        return None  # `srun -n 1`: nobody to meet
    by_name = {c.name: c for c in clusters.ClusterEnv._cluster_types}
    for name in ("slurm", "gketpu", "gcetpu"):
        cluster = by_name[name]
        if not cluster.is_env_present():
            continue
        num_processes = cluster.get_process_count()
        if num_processes == 1:
            return Processes(source=name)
        try:
            address = cluster.get_coordinator_address(
                timeout_secs=timeout,
                override_coordinator_port=environment.get("JAX_COORDINATOR_PORT"),
            )
        except RuntimeError as error:  # its name does not resolve in all that time
            raise RunError(f"{error}: was the first host of the slice started?") from error
        return Processes(
            cluster.get_process_id(),
            num_processes,
            _address(address),
            _slurm_devices(environment) if name == "slurm" else None,
            name,
        )
    return None


def _slurm_devices(environment: Mapping[str, str]) -> tuple[int, ...] | None:
    """One GPU a task, where several tasks share a node and SLURM has not dealt its GPUs out."""
    counts = environment.get("SLURM_STEP_TASKS_PER_NODE", "1")  # such as "4(x2),1"
    alone = all(part.split("(")[0] == "1" for part in counts.split(","))
    dealt = {"SLURM_GPUS_PER_TASK", "SLURM_TRES_PER_TASK", "SLURM_GPU_BIND"} & environment.keys()
    return None if alone or dealt else (int(environment["SLURM_LOCALID"]),)


def _meet(processes: Processes, hosts: HostsConfig) -> Peers:
    assert processes.coordinator is not None
    host, port = processes.coordinator
    versions = f"jax {jax.__version__}"
    if processes.process_id == 0:
        return wait_for_all(
            port,
            processes.num_processes,
            hosts.start_timeout,
            hosts.heartbeat_timeout,
            versions,
        )
    return join(
        host,
        port,
        processes.process_id,
        processes.num_processes,
        hosts.start_timeout,
        hosts.heartbeat_timeout,
        versions,
    )


def _start_jax(processes: Processes, peers: Peers, hosts: HostsConfig) -> None:
    assert processes.coordinator is not None
    host = "127.0.0.1" if processes.process_id == 0 else processes.coordinator[0]
    host = f"[{host}]" if ":" in host else host
    # It would take SIGTERM away from Python's handlers; the training loop agrees on a stop itself.
    jax.config.update("jax_enable_preemption_service", False)
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    _instead_of_abort(peers.runtime_aborted)
    jax.distributed.initialize(
        coordinator_address=f"{host}:{peers.service_port}",
        num_processes=processes.num_processes,
        process_id=processes.process_id,
        local_device_ids=processes.local_devices,
        cluster_detection_method="deactivate",
        initialization_timeout=hosts.start_timeout,
        # Later than ours, whose message says who is lost.
        heartbeat_timeout_seconds=hosts.heartbeat_timeout + 30,
        coordinator_bind_address=f"{'[::]' if _has_ipv6() else '0.0.0.0'}:{peers.service_port}",
    )
    logger.info(
        "process %d of %d (by %s), coordinator %s:%d",
        processes.process_id,
        processes.num_processes,
        processes.source,
        *processes.coordinator,
    )


def _has_ipv6() -> bool:
    return socket.has_dualstack_ipv6()


def _instead_of_abort(act: Callable[[], None]) -> None:
    """Calls `act` where the C++ runtime aborts this process, which it does when its connection to
    the coordination service breaks. A handler of Python's `signal` would run too late, if ever."""
    global _abort_handler
    _abort_handler = ctypes.CFUNCTYPE(None, ctypes.c_int)(lambda _: act())
    ctypes.CDLL(None).signal(signal.SIGABRT, _abort_handler)


_abort_handler: object = None  # the C library holds a pointer to it
