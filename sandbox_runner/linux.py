"""The kernel's calls that Python does not offer, through ctypes. x86-64 and aarch64.

Every function raises OSError, whose message names the call and what it was given.
"""

from __future__ import annotations

import ctypes
import os

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_REMOUNT = 0x20
MS_NOATIME = 0x400
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x40000
MNT_DETACH = 0x2

MOUNT_ATTR_RDONLY = 0x1
MOUNT_ATTR_NOSUID = 0x2

CAP_DAC_READ_SEARCH = 2

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_KEEPCAPS = 8
_PR_SET_SECCOMP = 22
_PR_CAPBSET_DROP = 24
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4

_AT_FDCWD = -100
_AT_RECURSIVE = 0x8000
_LINUX_CAPABILITY_VERSION_3 = 0x20080522

_SECCOMP_MODE_FILTER = 2
_LANDLOCK_CREATE_RULESET_VERSION = 1
_LANDLOCK_RULE_PATH_BENEATH = 1

_SAME_EVERYWHERE = {
    "mount_setattr": 442,
    "landlock_create_ruleset": 444,
    "landlock_add_rule": 445,
    "landlock_restrict_self": 446,
}
_SYSCALLS = {
    "x86_64": {"pivot_root": 155, "capset": 126, "capget": 125, **_SAME_EVERYWHERE},
    "aarch64": {"pivot_root": 41, "capset": 91, "capget": 90, **_SAME_EVERYWHERE},
}
MACHINES = tuple(_SYSCALLS)

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
_python_libc = ctypes.PyDLL(None, use_errno=True)
# _Fork (glibc 2.34, musl 1.2.2) is fork without the handlers and locks of libraries.
_bare_fork = getattr(_python_libc, "_Fork", None) or _python_libc.fork


class _MountAttr(ctypes.Structure):
    _fields_ = [(n, ctypes.c_uint64) for n in ("attr_set", "attr_clr", "propagation", "userns_fd")]


class _FilterProgram(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


class _RulesetAttr(ctypes.Structure):
    _fields_ = [(n, ctypes.c_uint64) for n in ("access_fs", "access_net", "scoped")]


class _PathBeneathAttr(ctypes.Structure):
    _pack_ = 1
    _fields_ = [("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32)]


class _CapHeader(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class _CapData(ctypes.Structure):
    _fields_ = [(n, ctypes.c_uint32) for n in ("effective", "permitted", "inheritable")]


def fork() -> int:
    """fork(3) of a process with one thread, without the interpreter's hooks. Returns as os.fork.

    The hooks make locks anew that other threads might hold. Where there are none they only write to
    pages that the child must then copy: a quarter of the cost of a small child.
    """
    pid: int = _bare_fork()
    return pid if pid >= 0 else _number(pid, "fork")


def unshare(flags: int) -> None:
    """Leaves the namespaces named by `flags` for new ones."""
    _check(_libc.unshare(ctypes.c_int(flags)), f"unshare({flags:#x})")


def setns(fd: int, kind: int) -> None:
    """Enters the namespace open at `fd`, which is of `kind` (a CLONE_NEW* flag)."""
    _check(_libc.setns(ctypes.c_int(fd), ctypes.c_int(kind)), f"setns({kind:#x})")


def mount(source: str | None, target: str, kind: str | None, flags: int, data: str = "") -> None:
    """mount(2)."""
    _check(
        _libc.mount(
            None if source is None else os.fsencode(source),
            os.fsencode(target),
            None if kind is None else kind.encode(),
            ctypes.c_ulong(flags),
            data.encode() or None,
        ),
        f"mount({source!r}, {target!r}, {kind!r}, {flags:#x}, {data!r})",
    )


def unmount(target: str) -> None:
    """Detaches the mount at `target`, open files or not."""
    _check(_libc.umount2(os.fsencode(target), MNT_DETACH), f"umount2({target!r})")


def mount_setattr(target: str, attributes: int) -> None:
    """Sets MOUNT_ATTR_* on `target` and all mounts below it (Linux 5.12)."""
    attr = _MountAttr(attributes, 0, 0, 0)
    result = _syscall(
        "mount_setattr",
        _AT_FDCWD,
        ctypes.c_char_p(os.fsencode(target)),
        _AT_RECURSIVE,
        ctypes.byref(attr),
        ctypes.c_size_t(ctypes.sizeof(attr)),
    )
    _check(result, f"mount_setattr({target!r})")


def pivot_root(new_root: str, put_old: str) -> None:
    """Makes `new_root` the root; the old one is then mounted at `put_old`."""
    new, old = ctypes.c_char_p(os.fsencode(new_root)), ctypes.c_char_p(os.fsencode(put_old))
    _check(_syscall("pivot_root", new, old), f"pivot_root({new_root!r})")


def set_parent_death_signal(signum: int) -> None:
    """Sends `signum` to this process when its parent ends. A change of uid clears it."""
    _prctl(_PR_SET_PDEATHSIG, signum)


def set_no_new_privs() -> None:
    """From here on no exec can gain a privilege."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def set_dumpable(dumpable: bool) -> None:
    """Whether processes of the same uid may trace this one and read its memory."""
    _prctl(_PR_SET_DUMPABLE, int(dumpable))


def set_seccomp_filter(program: bytes) -> None:
    """Adds a filter, an array of struct sock_filter; needs no_new_privs."""
    code = _FilterProgram(len(program) // 8, program)
    result = _libc.prctl(
        ctypes.c_int(_PR_SET_SECCOMP),
        ctypes.c_ulong(_SECCOMP_MODE_FILTER),
        ctypes.byref(code),
        ctypes.c_ulong(0),
        ctypes.c_ulong(0),
    )
    _check(result, "prctl(PR_SET_SECCOMP)")


def landlock_version() -> int:
    """The version of the Landlock interface, at least 1. Raises OSError where there is none."""
    return _number(
        _syscall(
            "landlock_create_ruleset",
            None,
            ctypes.c_size_t(0),
            ctypes.c_uint(_LANDLOCK_CREATE_RULESET_VERSION),
        ),
        "landlock_create_ruleset",
    )


def landlock_create_ruleset(access_fs: int, access_net: int | None, scoped: int | None) -> int:
    """A descriptor of a new ruleset that handles these rights; None for what is not known."""
    attr = _RulesetAttr(access_fs, access_net or 0, scoped or 0)
    fields = 1 if access_net is None else 2 if scoped is None else 3
    return _number(
        _syscall("landlock_create_ruleset", ctypes.byref(attr), ctypes.c_size_t(8 * fields), 0),
        f"landlock_create_ruleset({access_fs:#x})",
    )


def landlock_add_path(ruleset: int, parent: int, access: int) -> None:
    """Grants `access` below the file or directory open at `parent`."""
    attr = _PathBeneathAttr(access, parent)
    result = _syscall(
        "landlock_add_rule", ruleset, _LANDLOCK_RULE_PATH_BENEATH, ctypes.byref(attr), 0
    )
    _check(result, f"landlock_add_rule({access:#x})")


def landlock_restrict_self(ruleset: int) -> None:
    """Enforces a ruleset on this thread and what it starts; needs no_new_privs."""
    _check(_syscall("landlock_restrict_self", ruleset, 0), "landlock_restrict_self")


def set_keep_capabilities() -> None:
    """Keeps the permitted capabilities over the next change of uid."""
    _prctl(_PR_SET_KEEPCAPS, 1)


def set_child_subreaper() -> None:
    """Orphaned descendants of this process become its children instead of init's."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def drop_bounding_capabilities() -> None:
    """Empties the bounding and ambient sets, so that no exec gives a capability back."""
    _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
    for capability in range(64):
        if _libc.prctl(_PR_CAPBSET_DROP, *map(ctypes.c_ulong, (capability, 0, 0, 0))) != 0:
            return  # the first number that the kernel does not know


def set_capabilities(keep: int = 0) -> None:
    """Sets the effective and permitted sets to the mask `keep`, which they must contain."""
    data = (_CapData * 2)(
        _CapData(keep & 0xFFFFFFFF, keep & 0xFFFFFFFF, 0), _CapData(keep >> 32, keep >> 32, 0)
    )
    header = _CapHeader(_LINUX_CAPABILITY_VERSION_3, 0)
    _check(_syscall("capset", ctypes.byref(header), data), f"capset({keep:#x})")


def permitted_capabilities() -> int:
    """The permitted set as a bit mask."""
    data, header = (_CapData * 2)(), _CapHeader(_LINUX_CAPABILITY_VERSION_3, 0)
    _check(_syscall("capget", ctypes.byref(header), data), "capget")
    return int(data[0].permitted | data[1].permitted << 32)


def process_cpu_clock(pid: int) -> int:
    """The clock id, for time.clock_gettime, of the CPU time that a live process has used."""
    # clock_getcpuclockid(3) without the call: 2 is CPUCLOCK_SCHED, for all threads together.
    return (~pid) << 3 | 2


def _syscall(name: str, *args: object) -> int:
    machine = os.uname().machine
    if machine not in _SYSCALLS:
        raise OSError(f"{name}: unknown machine {machine!r}; known are {MACHINES}")
    return int(_libc.syscall(ctypes.c_long(_SYSCALLS[machine][name]), *args))


def _number(result: int, call: str) -> int:
    if result < 0:
        _check(result, call)
    return result


def _prctl(option: int, value: int) -> None:
    arguments = (ctypes.c_ulong(v) for v in (value, 0, 0, 0))
    _check(_libc.prctl(ctypes.c_int(option), *arguments), f"prctl({option}, {value})")


def _check(result: int, call: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")
