"""What is enforced around a program, in which tier, and how a process gets there.

T1: own user, mount, PID, network, IPC and UTS namespaces; a root directory that is read-only apart
    from a small scratch file system; no capabilities; a seccomp filter, and Landlock where the
    kernel has it; resource limits. When the first process of a PID namespace ends, the kernel kills
    every other one in it.
T2: where there are no user namespaces: Landlock, a stricter seccomp filter (no new processes, no
    signals to others), an unprivileged uid if started by root; resource limits.
T3: resource limits, an own session and an unprivileged uid. A program can read the machine's
    files, use the network and signal processes of its uid. Only where the caller allows it.

Whether a tier is available is found out by entering it, never by reading versions or settings.
A zygote calls `enter_zygote` once, each cell forked from it `enter_cell` once, and each program
forked from a cell, where it is not T1, `isolate_program`.
"""

from __future__ import annotations

import contextlib
import functools
import os
import resource
import signal
import socket
import stat
import sys
from collections.abc import Iterator
from typing import Literal, NamedTuple

from sandbox_runner import accounting, landlock, linux, seccomp

Tier = Literal["T1", "T2", "T3"]
TIERS: tuple[Tier, ...] = ("T1", "T2", "T3")

PACKAGES = "/packages"  # where packages lie in T1, whatever the scratch directory may cover
NOBODY = 65534  # the host uid and gid of programs when the judge runs as root
INNER_ID = 1000  # the uid and gid that a program sees in T1
MAX_OPEN_FILES = 256
MAX_FILE_MIB = 16
MAX_STACK_MIB = 64

_MIB = 1 << 20
_WALL = 0x40000000  # __WALL: children by any kind of clone
_SYSTEM = ("usr", "lib", "lib32", "lib64", "bin", "sbin")
_DEVICES = tuple(f"/dev/{name}" for name in ("null", "full", "random", "urandom"))

_REMEDIES = {
    "user namespace": "allow user namespaces (user.max_user_namespaces > 0, "
    "kernel.unprivileged_userns_clone=1, kernel.apparmor_restrict_unprivileged_userns=0), and in "
    "a container a seccomp profile that permits unshare and mount",
    "mount namespace": "run with CAP_SYS_ADMIN or as an ordinary user with user namespaces",
    "root directory": "allow mounts in user namespaces (seccomp and AppArmor profiles forbid them)",
    "unprivileged uid": "run with CAP_SETUID and CAP_SETGID or as an ordinary user",
    "PID namespace": "raise user.max_pid_namespaces",
    "scratch directory": "allow tmpfs mounts in user namespaces",
    "seccomp filter": "use a kernel with CONFIG_SECCOMP_FILTER on x86-64 or aarch64",
    "Landlock": "use a kernel of 5.13 or newer with landlock in its lsm= list, and in a container "
    "a seccomp profile that permits landlock_create_ruleset",
}


class IsolationError(RuntimeError):
    """This machine, or this way of starting, does not offer an isolation; names what is missing."""


def enter_zygote(tier: Tier, packages: tuple[str, ...] = ()) -> None:
    """Puts this single-threaded process into `tier`, once and for ever.

    `packages` are directories that programs may read beside the interpreter's own.

    In T1 it returns in a forked child that is the first process of a PID namespace; the process
    that called waits for the child's end and never returns.

    Raises:
      IsolationError: the step that the machine refused, and what would allow it.
    """
    if tier != "T1":
        _enter_plain_zygote()
        return
    is_root = os.getuid() == 0
    if is_root:
        # The whole root is put together with root's rights, for the interpreter may stand where
        # only root can reach it (/root/.pyenv). Nothing after this needs them.
        with _step("mount namespace"):
            linux.unshare(linux.CLONE_NEWNS)
        with _step("root directory"):
            _change_root(packages)
        with _step("unprivileged uid"):
            _become(NOBODY)
            linux.set_dumpable(True)  # else /proc/self/uid_map belongs to root
    uid, gid = os.getuid(), os.getgid()
    with _step("user namespace"):
        linux.unshare(
            linux.CLONE_NEWUSER
            | linux.CLONE_NEWNS
            | linux.CLONE_NEWNET
            | linux.CLONE_NEWIPC
            | linux.CLONE_NEWUTS
        )
        _write("/proc/self/setgroups", "deny")
        _write("/proc/self/uid_map", f"{INNER_ID} {uid} 1")
        _write("/proc/self/gid_map", f"{INNER_ID} {gid} 1")
        socket.sethostname("sandbox")
        # A program that made a user namespace of its own would have every capability inside it,
        # such as to mount file systems whose memory no limit counts. Fails where /proc/sys is
        # read-only, as in most containers, which forbid nested namespaces by other means.
        with contextlib.suppress(OSError):
            _write("/proc/sys/user/max_user_namespaces", "0")
    if not is_root:
        with _step("root directory"):
            _change_root(packages)
    # A PID namespace for the zygote too: killing its first process takes every cell along, and
    # only a namespace that this user namespace owns can be returned to after making another.
    linux.set_parent_death_signal(signal.SIGKILL)  # the change of uid has cleared it
    with _step("PID namespace"):
        linux.unshare(linux.CLONE_NEWPID)
        child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        os._exit(min(255, abs(os.waitstatus_to_exitcode(status))))
    linux.set_parent_death_signal(signal.SIGKILL)


def fork_cell(tier: Tier) -> int:
    """Forks; in T1 the child is the first process of a new PID namespace. Returns as os.fork."""
    if tier != "T1":
        return os.fork()
    home = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    try:
        with _step("PID namespace"):
            linux.unshare(linux.CLONE_NEWPID)
            pid = os.fork()
            if pid:
                linux.setns(home, linux.CLONE_NEWPID)
        return pid
    finally:
        os.close(home)


class Cell(NamedTuple):
    """What a confined cell needs to know about itself.

    Attributes:
      scratch: its scratch directory and that of its programs, their cwd.
    """

    tier: Tier
    scratch: str


def enter_cell(
    tier: Tier, scratch: str, memory_mib: int, processes: int, packages: tuple[str, ...] = ()
) -> Cell:
    """Confines the process that `fork_cell` made, and all that it will start.

    Args:
      scratch: a directory made by the caller for T2 and T3; T1 mounts its own.
      memory_mib: address space of each process beyond what the interpreter has now.
      processes: processes and threads of a program.
      packages: directories that programs may read beside the interpreter's own.

    Raises:
      IsolationError: the step that the machine refused, and what would allow it.
    """
    linux.set_parent_death_signal(signal.SIGKILL)
    tasks = processes + _other_tasks(tier)
    address_space = accounting.address_space() + memory_mib * _MIB
    if tier == "T1":
        with _step("scratch directory"):
            linux.unshare(linux.CLONE_NEWNS | linux.CLONE_NEWIPC)
            _mount_proc()
            flags = linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOATIME
            linux.mount(
                "tmpfs",
                "/tmp",
                "tmpfs",
                flags,
                f"size={accounting.SCRATCH_MIB}m,nr_inodes={accounting.SCRATCH_NAMES},mode=700",
            )
        scratch = "/tmp"
        # A program that forks can then be looked at by its cell, which counts shared pages once.
        # No other process that could do so is in its sight. One that evades this is counted as if
        # it shared none.
        os.register_at_fork(before=lambda: linux.set_dumpable(True))
        linux.drop_bounding_capabilities()
        linux.set_capabilities(0)
    else:
        if not scratch:
            raise IsolationError(f"{tier} needs a scratch directory from its caller")
        os.setsid()
        linux.set_child_subreaper()
    linux.set_no_new_privs()
    # Programs run under the same uid: without this they could read this process's memory.
    linux.set_dumpable(False)
    os.chdir(scratch)
    os.umask(0o077)
    _set_limit(resource.RLIMIT_STACK, MAX_STACK_MIB * _MIB)
    _set_limit(resource.RLIMIT_FSIZE, MAX_FILE_MIB * _MIB)
    _set_limit(resource.RLIMIT_CORE, 0)
    _set_limit(resource.RLIMIT_MEMLOCK, 0)
    _set_limit(resource.RLIMIT_NOFILE, MAX_OPEN_FILES)
    _set_limit(resource.RLIMIT_NPROC, tasks)
    _set_limit(resource.RLIMIT_AS, address_space)
    if tier == "T1" and landlock.version():
        with _step("Landlock"):
            landlock.restrict(_rules(["/"], scratch))
    elif tier == "T2":
        with _step("Landlock"):
            system = [f"/{name}" for name in _SYSTEM]
            landlock.restrict(_rules([*system, *_interpreter_paths(), *packages], scratch))
    if tier != "T3":
        with _step("seccomp filter"):
            seccomp.install(seccomp.program_filter())
    return Cell(tier, scratch)


def isolate_program(tier: Tier) -> None:
    """Does for a process that will run a program what its namespace does in T1."""
    os.setsid()
    linux.set_parent_death_signal(signal.SIGKILL)
    if tier == "T2":
        seccomp.install(seccomp.solitary_filter(os.getpid()))


def kill_all_others(tier: Tier) -> tuple[float, bool]:
    """Kills and reaps every process that a program left in this cell.

    Returns their CPU seconds, and whether there were any.
    """
    cpu_s, found = 0.0, False
    options = _WALL | os.WNOHANG
    for _ in range(200):
        try:
            while True:
                pid, _, usage = os.wait4(-1, options)
                if pid == 0:
                    break
                found = True
                cpu_s += usage.ru_utime + usage.ru_stime
        except ChildProcessError:
            # The children of all that have ended are the cell's: without any, it is alone.
            return cpu_s, found
        if tier == "T1":
            with contextlib.suppress(ProcessLookupError):
                os.kill(-1, signal.SIGKILL)
            options = _WALL
        elif tier == "T3":
            for pid in accounting.descendants(os.getpid()):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
    return cpu_s, found


# Steps into a tier


def _enter_plain_zygote() -> None:
    linux.set_child_subreaper()
    if os.getuid() == 0:
        # RLIMIT_NPROC does not bind root. Reading stays allowed where the interpreter itself could
        # not be read otherwise.
        keep = 0 if _readable_by_all(os.__file__) else 1 << linux.CAP_DAC_READ_SEARCH
        with _step("unprivileged uid"):
            linux.set_keep_capabilities()
            linux.drop_bounding_capabilities()
            _become(NOBODY)
            linux.set_capabilities(keep & linux.permitted_capabilities())
    linux.set_parent_death_signal(signal.SIGKILL)


def _become(uid: int) -> None:
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def _change_root(packages: tuple[str, ...]) -> None:
    """Moves into a read-only root of bind mounts that holds an interpreter and little else."""
    linux.mount("none", "/", None, linux.MS_REC | linux.MS_PRIVATE)
    sources = list(_interpreter_paths())
    stage = _staging_directory(sources)
    linux.mount("tmpfs", stage, "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, "size=1m,mode=755")
    for name in _SYSTEM:
        if os.path.islink(f"/{name}"):
            os.symlink(os.readlink(f"/{name}"), f"{stage}/{name}")
        elif os.path.isdir(f"/{name}"):
            _bind(f"/{name}", stage)
    for source in sources:
        if not os.path.exists(stage + source):
            _bind(source, stage)
    for package in packages:
        _bind(package, stage, f"{PACKAGES}/{os.path.basename(package)}")
    for device in _DEVICES:
        _bind(device, stage)
    for name, target in {
        "fd": "/proc/self/fd",
        "stdin": "/proc/self/fd/0",
        "stdout": "/proc/self/fd/1",
        "stderr": "/proc/self/fd/2",
        "shm": "/tmp",
    }.items():
        os.symlink(target, f"{stage}/dev/{name}")
    for name in ("proc", "tmp"):
        os.mkdir(f"{stage}/{name}")
    os.makedirs(f"{stage}/etc", exist_ok=True)
    _write(f"{stage}/etc/passwd", f"sandbox:x:{INNER_ID}:{INNER_ID}::/tmp:/bin/sh\n")
    linux.mount_setattr(stage, linux.MOUNT_ATTR_RDONLY | linux.MOUNT_ATTR_NOSUID)
    # Cells mount their own /proc over it, which the kernel allows only where one is in sight.
    linux.mount("/proc", f"{stage}/proc", None, linux.MS_BIND | linux.MS_REC)
    os.chdir(stage)
    linux.pivot_root(".", ".")
    linux.unmount(".")
    os.chdir("/")


def _rules(readable: list[str], scratch: str) -> dict[int, list[str]]:
    return {
        landlock.READ: readable,
        landlock.READ | landlock.WRITE: list(_DEVICES),
        landlock.OWN: [scratch],
    }


def _interpreter_paths() -> Iterator[str]:
    # As sysconfig has them, which is not imported because every fork would carry it.
    library = f"{sys.platlibdir}/python{sys.version_info[0]}.{sys.version_info[1]}"
    paths = {sys.base_prefix, sys.base_exec_prefix, os.path.dirname(os.__file__)}
    paths |= {os.path.join(p, library) for p in (sys.base_prefix, sys.base_exec_prefix)}
    real = {os.path.realpath(p) for p in paths} | {os.path.abspath(p) for p in paths}
    for path in sorted(real):
        if path == "/":
            raise IsolationError("the interpreter's prefix is /, so no smaller root can hold it")
        if os.path.isdir(path):
            yield path
    for path in ("/etc/ld.so.cache", "/etc/localtime", "/nix/store"):
        if os.path.exists(path):
            yield path


def _staging_directory(sources: list[str]) -> str:
    for path in ("/mnt", "/tmp", "/var/tmp", "/media", "/srv", "/opt", "/run", "/dev/shm"):
        covered = any(s == path or s.startswith(path + "/") for s in sources)
        if os.path.isdir(path) and not os.path.islink(path) and not covered:
            return path
    raise IsolationError("no directory to mount the root on: /mnt or /tmp must exist")


def _bind(source: str, stage: str, place: str | None = None) -> None:
    target = stage + (place or source)
    if stat.S_ISDIR(os.stat(source).st_mode):
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        _write(target, "")
    linux.mount(source, target, None, linux.MS_BIND | linux.MS_REC)


def _mount_proc() -> None:
    flags = linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC | linux.MS_RDONLY
    try:
        linux.mount("proc", "/proc", "proc", flags)
    except OSError:
        # Inside containers that mask parts of /proc. Without it rather than with the machine's.
        linux.mount("tmpfs", "/proc", "tmpfs", flags, "size=0,mode=555")


@contextlib.contextmanager
def _step(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise IsolationError(f"{name}: {error}; to have it, {_REMEDIES[name]}") from error


def _other_tasks(tier: Tier) -> int:
    """How many tasks besides the program's own RLIMIT_NPROC counts for this uid."""
    if tier == "T1" and _kernel() >= (5, 14):
        # Counted by user namespace: the zygote's two processes, up to two cells, and the test code.
        return 5
    if tier == "T1":
        return 4096  # counted over the machine, which the cell cannot see: no bound worth the name
    # Processes that may not be traced show root as their owner, hence some to spare.
    return 16 + sum(threads for _, _, threads in accounting.tasks(os.getuid()))


@functools.cache
def _kernel() -> tuple[int, ...]:
    numbers = os.uname().release.split("-")[0].split(".")[:2]
    return tuple(int(n) for n in numbers)


def _readable_by_all(path: str) -> bool:
    while path != "/":
        mode = os.stat(path).st_mode
        if not mode & (stat.S_IXOTH if stat.S_ISDIR(mode) else stat.S_IROTH):
            return False
        path = os.path.dirname(path)
    return True


def _set_limit(kind: int, value: int) -> None:
    hard = resource.getrlimit(kind)[1]
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(kind, (value, value))


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(text)
