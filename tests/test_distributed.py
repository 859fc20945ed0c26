"""Where a process stands, how processes meet, and that the loss of one ends all of them soon."""

from __future__ import annotations

import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import pytest

from codeprm_jax import peers
from codeprm_jax.commands.train import _settings
from codeprm_jax.distributed import HostsConfig, Processes, agree, resolve, session
from codeprm_jax.files import InputError, RunError
from codeprm_jax.training.config import DataConfig, TrainConfig
from tests.launch.running import ROOT, Process, counting, environment, free_port, started

FLAGS = HostsConfig("a:1", 4, 3)
VARIABLES = {
    "JAX_COORDINATOR_ADDRESS": "b:2",
    "JAX_NUM_PROCESSES": "3",
    "JAX_PROCESS_ID": "2",
}
SLURM = {
    "SLURM_JOB_ID": "4097",
    "SLURM_STEP_NODELIST": "node[003-005,9]",
    "SLURM_NTASKS": "4",
    "SLURM_STEP_NUM_TASKS": "4",
    "SLURM_STEP_TASKS_PER_NODE": "1(x4)",
    "SLURM_PROCID": "1",
    "SLURM_LOCALID": "0",
}


def place(found: Processes) -> tuple[object, ...]:
    return found.process_id, found.num_processes, found.coordinator


def test_a_machine_alone_opens_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket")

    for name in (*VARIABLES, *SLURM):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    threads = threading.active_count()
    with session(HostsConfig()) as processes:
        assert place(processes) == (0, 1, None)
        assert threading.active_count() == threads and not jax.distributed.is_initialized()


def test_options_come_before_variables_before_slurm(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SLURM.items():
        monkeypatch.setenv(name, value)
    # The first node of the list, and the port that JAX takes in a job of this number.
    assert place(resolve(HostsConfig(), SLURM)) == (1, 4, ("node003", 61441))
    assert place(resolve(HostsConfig(), SLURM | VARIABLES)) == (2, 3, ("b", 2))
    assert place(resolve(FLAGS, SLURM | VARIABLES)) == (3, 4, ("a", 1))
    mixed = resolve(HostsConfig(process_id=0), SLURM | VARIABLES)
    assert place(mixed) == (0, 3, ("b", 2))
    only_address = SLURM | {"JAX_COORDINATOR_ADDRESS": "[::1]:2"}
    assert place(resolve(HostsConfig(), only_address)) == (1, 4, ("::1", 2))


@pytest.mark.parametrize("alone", [{"SLURM_STEP_NUM_TASKS": "1"}, {"SLURM_STEP_NODELIST": None}])
def test_a_slurm_job_of_one_task_is_one_process(
    alone: dict[str, str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second is a batch script without srun: whatever its --ntasks, it is one process."""
    merged = {k: v for k, v in (SLURM | alone).items() if v is not None}
    for name in SLURM:
        monkeypatch.delenv(name, raising=False)
    for name, value in merged.items():
        monkeypatch.setenv(name, value)
    assert resolve(HostsConfig(), merged).coordinator is None


@pytest.mark.parametrize(
    ("changes", "devices"),
    [
        ({}, None),
        ({"SLURM_STEP_TASKS_PER_NODE": "4", "SLURM_LOCALID": "1"}, (1,)),
        ({"SLURM_STEP_TASKS_PER_NODE": "4", "SLURM_GPUS_PER_TASK": "1"}, None),
    ],
    ids=["one task a node", "tasks share a node", "SLURM has dealt the GPUs out"],
)
def test_gpus_of_tasks_that_share_a_node(
    changes: dict[str, str], devices: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (SLURM | changes).items():
        monkeypatch.setenv(name, value)
    assert resolve(HostsConfig(), SLURM | changes).local_devices == devices


def test_a_tpu_slice_is_found_where_there_are_tpus(monkeypatch: pytest.MonkeyPatch) -> None:
    from jax._src.clusters import cloud_tpu_cluster

    slice_ = {
        "TPU_WORKER_ID": "1",
        "TPU_WORKER_HOSTNAMES": "localhost,elsewhere",
        "MEGASCALE_COORDINATOR_ADDRESS": "localhost",
        "MEGASCALE_NUM_SLICES": "2",
        "MEGASCALE_SLICE_ID": "1",
    }
    for name, value in slice_.items():
        monkeypatch.setenv(name, value)
    assert resolve(HostsConfig(), slice_).num_processes == 1  # no TPU here
    monkeypatch.setattr(cloud_tpu_cluster, "running_in_cloud_tpu_vm", True)
    assert place(resolve(HostsConfig(), slice_)) == (3, 4, ("localhost", 8482))
    assert place(resolve(FLAGS, slice_)) == (3, 4, ("a", 1))


@pytest.mark.parametrize(
    ("hosts", "variables", "said"),
    [
        (HostsConfig(num_processes=2), {}, r"hosts.coordinator.*and --hosts.process-id"),
        (HostsConfig(coordinator="a:1"), {}, r"JAX_NUM_PROCESSES\) and .*JAX_PROCESS_ID"),
        (HostsConfig("a:1", 2), {}, "needs --hosts.process-id"),
        (HostsConfig("a:1", process_id=1), {}, "needs --hosts.num-processes"),
        (HostsConfig(), {"JAX_PROCESS_ID": "1"}, "hosts.coordinator"),
        (HostsConfig("a:1", 2, 2), {}, "process 2 of 2 cannot be.*0 to 1"),
        (HostsConfig("a:1", 2, -1), {}, "process -1 of 2"),
        (HostsConfig("a", 2, 1), {}, "'a': HOST:PORT"),
        (HostsConfig("a:99999", 2, 1), {}, "HOST:PORT"),
        (HostsConfig(), VARIABLES | {"JAX_NUM_PROCESSES": "two"}, "JAX_NUM_PROCESSES is 'two'"),
    ],
)
def test_half_of_the_settings_is_refused(
    hosts: HostsConfig, variables: dict[str, str], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        resolve(hosts, variables)


def test_one_process_by_number_needs_no_coordinator() -> None:
    assert resolve(HostsConfig(num_processes=1), {}).coordinator is None
    with pytest.raises(InputError, match="at least 1 s"):
        HostsConfig(heartbeat_timeout=0)


def in_thread(call: Callable[[], Any]) -> Callable[[], Any]:
    """Starts a call; what is returned waits for its result or its error."""
    results: list[Any] = []

    def run() -> None:
        try:
            results.append(call())
        except (InputError, RunError) as error:
            results.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()

    def result() -> Any:
        thread.join(30)
        return results[0]

    return result


def meet(
    port: int, number: int, num_processes: int = 3, timeout: float = 20, versions: str = "1"
) -> Callable[[], Any]:
    if number == 0:
        return in_thread(lambda: peers.wait_for_all(port, num_processes, timeout, 60, versions))
    return in_thread(
        lambda: peers.join("localhost", port, number, num_processes, timeout, 60, versions)
    )


def test_processes_meet_in_any_order_past_strangers() -> None:
    port = free_port()
    second = meet(port, 2)
    time.sleep(0.2)
    first = meet(port, 0)
    for words in (b"GET / HTTP/1.1\r\n\r\n", b"[1]\n", b'{"kind": "alive"}\n', b""):
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            try:
                with socket.create_connection(("localhost", port), 5) as stranger:
                    stranger.sendall(words)
                break
            except OSError:
                time.sleep(0.05)
    found = [result() for result in (meet(port, 1), first, second)]
    assert len({p.service_port for p in found}) == 1 and not any(p.loss for p in found)
    for one in found:
        one.done()
    time.sleep(0.3)
    for one in found:  # no end of a process that was done is a loss
        one.close()
    assert not any(p.loss for p in found)


def test_who_has_not_come_is_named_to_all() -> None:
    port = free_port()
    errors = [result() for result in [meet(port, n, 4, timeout=1.5) for n in (0, 2)]]
    for error in errors:
        assert isinstance(error, RunError)
        assert f"of 4 processes, 1, 3 did not come to port {port}" in str(error)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"num_processes": 4}, "started as one of 4 processes, process 0 as one of 2"),
        ({"versions": "2"}, "runs 2, process 0 1: install the same"),
        ({"number": 0}, "two processes are process 0: one on "),
    ],
)
def test_contradictions_between_processes_are_told_to_both(
    settings: dict[str, Any], said: str
) -> None:
    port = free_port()
    given = {"num_processes": 2, "versions": "1"} | settings
    number = given.pop("number", 1)
    first = meet(port, 0, 2)
    second = in_thread(
        lambda: peers.join("localhost", port, number, timeout=20, silence=60, **given)
    )
    for error in (first(), second()):
        with pytest.raises(InputError, match=said):
            raise error


def test_a_port_in_use_is_named() -> None:
    with socket.create_server(("", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(RunError, match=f"cannot listen at port {port}.*Choose another"):
            peers.wait_for_all(port, 2, 1, 1, "")


def test_processes_end_cleanly(tmp_path: Path) -> None:
    with counting(tmp_path, 5, [], [], devices=2) as processes:
        assert [p.wait() for p in processes] == [0, 0]
        for process in processes:
            assert "step 5: total 20" in process.output
            for word in ("Error", "error", "FATAL", "Traceback", "terminate"):
                assert word not in process.output


@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_process_is_named_at_once(victim: int, tmp_path: Path) -> None:
    """Process 0 holds JAX's coordination service, without which JAX aborts the others itself."""
    with counting(tmp_path, 3000, [], [], devices=2) as processes:
        for process in processes:
            process.wait_for("stepping")
        processes[victim].popen.send_signal(signal.SIGKILL)
        other = processes[1 - victim]
        assert other.wait() == 1 and other.ended_after < 10
        last = other.output.strip().splitlines()[-1]
        assert f"counting.py: process {victim} on {socket.gethostname()} is gone" in last
        assert "Run the same command again on all hosts to go on from the last checkpoint" in last


@pytest.mark.parametrize("victim", [0, 1])
def test_a_stopped_process_is_named_after_the_heartbeat_timeout(
    victim: int, tmp_path: Path
) -> None:
    beat = ["--hosts.heartbeat-timeout", "2"]
    with counting(tmp_path, 3000, beat, beat) as processes:
        for process in processes:
            process.wait_for("stepping")
        processes[victim].popen.send_signal(signal.SIGSTOP)
        other = processes[1 - victim]
        assert other.wait() == 1 and 1 < other.ended_after < 12
        assert f"process {victim} on" in other.output and "not been heard of" in other.output


@pytest.mark.parametrize(
    ("victim", "how", "code", "said"),
    [(0, "input", 2, "data/ holds another dataset here"), (1, "bug", 1, "TypeError: a bug")],
)
def test_an_error_of_one_process_ends_the_others_with_its_message(
    victim: int, how: str, code: int, said: str, tmp_path: Path
) -> None:
    with counting(tmp_path, 3000, *[["--wrong", f"{victim}:2:{how}"]] * 2) as processes:
        assert [p.wait() for p in processes][victim] == code
        assert said in processes[victim].output
        other = processes[1 - victim]
        assert other.wait() == 1 and other.ended_after < 10
        assert f"process {victim} on {socket.gethostname()} failed: {said}" in other.output


def test_what_one_host_lacks_ends_training_on_all(tmp_path: Path) -> None:
    """Through the command itself: it looks for its files among the others already."""
    address, command = f"127.0.0.1:{free_port()}", [sys.executable, "-m", "codeprm_jax.cli"]
    presets = [str(ROOT / "configs" / "quickstart.py"), "missing.py"]
    with started(
        *(
            Process(
                [*command, "train", preset, "--hosts.process-id", str(i)],
                tmp_path / f"{i}.log",
                environment(JAX_COORDINATOR_ADDRESS=address, JAX_NUM_PROCESSES="2"),
            )
            for i, preset in enumerate(presets)
        )
    ) as processes:
        assert processes[1].wait() == 2
        assert "codeprm train: missing.py does not exist" in processes[1].output
        # It fails itself for want of a dataset; whichever is first, both end.
        assert processes[0].wait() in (1, 2) and processes[0].ended_after < 10


def test_other_settings_in_one_process_are_named(tmp_path: Path) -> None:
    with counting(tmp_path, 3000, [], ["--seed", "1"]) as processes:
        assert [p.wait() for p in processes] == [1, 2]
        said = "has other settings than process 0 (training.seed): give all processes the same"
        assert said in processes[1].output and said in processes[0].output


def test_where_data_lies_may_differ_between_hosts() -> None:
    first = TrainConfig(data=DataConfig(data_dir=Path("a")))
    assert _settings(first) == _settings(TrainConfig(data=DataConfig(data_dir=Path("b"))))
    assert _settings(first) != _settings(TrainConfig(data=DataConfig(row_tokens=7)))
    agree("settings", _settings(first))  # alone


def test_a_coordinator_that_cannot_be_reached_is_named(tmp_path: Path) -> None:
    port = free_port()
    preset = str(ROOT / "configs" / "quickstart.py")
    options = f"--hosts.coordinator 127.0.0.1:{port} --hosts.num-processes 2 --hosts.process-id 1"
    command = [sys.executable, "-m", "codeprm_jax.cli", "train", preset, *options.split()]
    command += ["--hosts.start-timeout", "1"]
    with started(Process(command, tmp_path / "log", environment())) as [process]:
        assert process.wait() == 1
        assert f"waited 1 s for process 0 at 127.0.0.1:{port}" in process.output
        assert "Connection refused" in process.output and "Traceback" not in process.output
