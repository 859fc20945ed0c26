"""System-call filters: what a program may not ask of the kernel, as classic BPF.

Four answers. A call that no honest program makes (ptrace, mount, bpf, keyctl, setting the clock …)
kills the process with SIGSYS, which the judge reads as a security violation. A call that a library
may try and do without (a socket, memfd_create, System V memory, memory that is shared and
anonymous) fails with EPERM. One seems to succeed: what is to happen on SIGCHLD stays as it is, for
a kernel that reaps a program's children by itself forgets their CPU time. The rest is allowed.
Calls that take the id of another process work on the caller only.

Numbers are those of linux/unistd for x86-64 and aarch64; -1 where a machine has no such call.
"""

from __future__ import annotations

import errno
import os
import struct

from sandbox_runner import linux

_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

_NEVER_HONEST = {
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "pidfd_getfd": (438, 438),
    "kcmp": (312, 272),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "open_by_handle_at": (304, 265),
    "name_to_handle_at": (303, 264),
    "fanotify_init": (300, 262),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "unshare": (272, 97),
    "setns": (308, 268),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "memfd_secret": (447, 447),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "acct": (163, 89),
    "syslog": (103, 116),
    "vhangup": (153, 58),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "clock_adjtime": (305, 266),
    "adjtimex": (159, 171),
    "iopl": (172, -1),
    "ioperm": (173, -1),
    "modify_ldt": (154, -1),
}

_REFUSED = {
    "socket": (41, 198),
    "bind": (49, 200),
    "listen": (50, 201),
    "connect": (42, 203),
    "setsockopt": (54, 208),  # socket pairs are allowed, but their buffers are not to grow
    # Memory that no limit counts, or that would outlive the program: queues of events, and access
    # lists of tens of kilobytes on empty files.
    "inotify_init": (253, -1),
    "inotify_init1": (294, 26),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "setxattrat": (463, 463),
    "memfd_create": (319, 279),
    "shmget": (29, 194),
    "shmat": (30, 196),
    "shmctl": (31, 195),
    "semget": (64, 190),
    "semop": (65, 193),
    "semctl": (66, 191),
    "semtimedop": (220, 192),
    "msgget": (68, 186),
    "msgsnd": (69, 189),
    "msgrcv": (70, 188),
    "msgctl": (71, 187),
    "mq_open": (240, 180),
    "mq_unlink": (241, 181),
    "mq_timedsend": (242, 182),
    "mq_timedreceive": (243, 183),
    "mq_notify": (244, 184),
    "mq_getsetattr": (245, 185),
    # Rarely used, often broken into.
    "vmsplice": (278, 75),
    "move_pages": (279, 239),
    "migrate_pages": (256, 238),
    "mbind": (237, 235),
    "set_mempolicy": (238, 237),
    "io_setup": (206, 0),
    "ioprio_set": (251, 30),
}

# Allowed where the first argument is 0: the calling process or thread.
_SELF_ONLY = {
    "prlimit64": (302, 261),
    "sched_setaffinity": (203, 122),
    "sched_setscheduler": (144, 119),
    "sched_setparam": (142, 118),
    "sched_setattr": (314, 274),
}
_SETPRIORITY = (141, 140)
_SOCKETPAIR = (53, 199)
_CLONE, _CLONE3 = (56, 220), (435, 435)
_FORKS = {"fork": (57, -1), "vfork": (58, -1)}
_FCNTL = (72, 25)
_IOCTL = (16, 29)
_MMAP = (9, 222)
_RT_SIGACTION = (13, 134)
_GETSOCKOPT = (55, 209)
# Allowed where the first argument is the caller's own process id.
_SIGNALS = {
    "kill": (62, 129),
    "tkill": (200, 130),
    "tgkill": (234, 131),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
}
_PIDFDS = {"pidfd_open": (434, 434), "pidfd_send_signal": (424, 424)}

_AF_UNIX = 1
_SOCK_STREAM, _SOCK_SEQPACKET, _SOCK_TYPE_MASK = 1, 5, 0xF
_F_SETOWN, _F_SETOWN_EX = 8, 15
_FIOSETOWN, _SIOCSPGRP = 0x8901, 0x8902
_SOL_SOCKET, _SO_PEERPIDFD = 1, 77
_MAP_SHARED, _MAP_ANONYMOUS, _MAP_HUGETLB = 0x01, 0x20, 0x40000
_SIGCHLD = 17
_CLONE_THREAD = 0x00010000
_NEW_NAMESPACES = 0x7E020080  # every CLONE_NEW* flag

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN, _AND = 0x20, 0x15, 0x35, 0x45, 0x06, 0x54
_ALLOW, _KILL = 0x7FFF0000, 0x80000000


def _errno(number: int) -> int:
    return 0x00050000 | number


_REFUSE = _errno(errno.EPERM)
_MACHINES = tuple(_ARCHITECTURES)


def install(program: bytes) -> None:
    """Puts a filter on this process, which has one thread, and all that it starts, for ever.

    Raises OSError where the kernel has no seccomp or no_new_privs is not set.
    """
    linux.set_seccomp_filter(program)


def program_filter() -> bytes:
    """The filter for a cell and its programs, as an array of struct sock_filter.

    Raises OSError on a machine whose numbers are not known.
    """
    code = _Filter()
    for numbers in _NEVER_HONEST.values():
        code.rule(numbers, [_ret(_KILL)])
    for numbers in _REFUSED.values():
        code.rule(numbers, [_ret(_REFUSE)])
    for numbers in _SELF_ONLY.values():
        code.rule(numbers, _only_if_argument(0, 0))
    zero = _jump(_EQUAL, 0, 1, 0)
    code.rule(
        _SETPRIORITY,
        [_argument(0), zero, _ret(_REFUSE), _argument(1), zero, _ret(_REFUSE), _ret(_ALLOW)],
    )
    # Pairs of streams: a datagram socket of a pair can be aimed at any socket that has a path.
    code.rule(
        _SOCKETPAIR,
        [
            *(_argument(0), _jump(_EQUAL, _AF_UNIX, 1, 0), _ret(_REFUSE)),
            *(_argument(1), _jump(_AND, _SOCK_TYPE_MASK, 0, 0)),
            *(_jump(_EQUAL, _SOCK_STREAM, 2, 0), _jump(_EQUAL, _SOCK_SEQPACKET, 1, 0)),
            _ret(_REFUSE),
        ],
    )
    # Memory that would be in no process's account: shared and anonymous, or of huge pages.
    huge, shared = _jump(_ANY_BIT, _MAP_HUGETLB, 2, 0), _jump(_ANY_BIT, _MAP_SHARED, 0, 2)
    anonymous = _jump(_ANY_BIT, _MAP_ANONYMOUS, 0, 1)
    code.rule(_MMAP, [_argument(3), huge, shared, anonymous, _ret(_REFUSE), _ret(_ALLOW)])
    # Asking what is set for SIGCHLD has no new action, which is a null pointer.
    asked = [_argument(1), _jump(_EQUAL, 0, 0, 2), _argument(1, high=True)]
    changed = [_jump(_EQUAL, _SIGCHLD, 0, 5), *asked, _jump(_EQUAL, 0, 1, 0), _ret(_errno(0))]
    code.rule(_RT_SIGACTION, [_argument(0), *changed])
    # Its flags lie in memory, out of a filter's sight; the C library then falls back to clone.
    code.rule(_CLONE3, [_ret(_errno(errno.ENOSYS))])
    clone = [_argument(0), _jump(_ANY_BIT, _NEW_NAMESPACES, 0, 1), _ret(_KILL), _ret(_ALLOW)]
    code.rule(_CLONE, clone)
    return code.finish()


def solitary_filter(own_pid: int) -> bytes:
    """A filter on top of the other: threads but no processes, and signals to `own_pid` only.

    For where no PID namespace hides and holds a program's processes. Raises OSError as above.
    """
    code = _Filter()
    code.rule(_CLONE, [_argument(0), _jump(_ANY_BIT, _CLONE_THREAD, 1, 0), _ret(_REFUSE)])
    for numbers in _FORKS.values():
        code.rule(numbers, [_ret(_REFUSE)])
    for numbers in _SIGNALS.values():
        code.rule(numbers, _only_if_argument(0, own_pid))
    for numbers in _PIDFDS.values():
        code.rule(numbers, [_ret(_REFUSE)])
    # SIGIO and SIGURG can be aimed at any process.
    for numbers, ways in {
        _FCNTL: (_F_SETOWN, _F_SETOWN_EX),
        _IOCTL: (_FIOSETOWN, _SIOCSPGRP),
    }.items():
        owner = [_jump(_EQUAL, ways[0], 1, 0), _jump(_EQUAL, ways[1], 0, 1), _ret(_REFUSE)]
        code.rule(numbers, [_argument(1), *owner, _ret(_ALLOW)])
    # The other end of a pair may be held by the judge.
    peer = [_jump(_EQUAL, _SOL_SOCKET, 0, 3), _argument(2), _jump(_EQUAL, _SO_PEERPIDFD, 0, 1)]
    code.rule(_GETSOCKOPT, [_argument(1), *peer, _ret(_REFUSE), _ret(_ALLOW)])
    return code.finish()


class _Filter:
    """A filter under construction: rules by number, tried in their order, and then "allow"."""

    def __init__(self) -> None:
        machine = os.uname().machine
        if machine not in _ARCHITECTURES:
            raise OSError(f"seccomp: unknown machine {machine!r}; known are {_MACHINES}")
        self._column = _MACHINES.index(machine)
        self._code = [_load(4), _jump(_EQUAL, _ARCHITECTURES[machine], 1, 0), _ret(_KILL)]
        self._code.append(_load(0))
        if machine == "x86_64":
            # The x32 numbers are other names for the same calls.
            self._code += [_jump(_AT_LEAST, 0x40000000, 0, 1), _ret(_KILL)]

    def rule(self, numbers: tuple[int, int], body: list[bytes]) -> None:
        """`body` decides about a call; where it does not return, the call is allowed."""
        body = [*body, _ret(_ALLOW)]
        if numbers[self._column] >= 0:
            self._code += [_jump(_EQUAL, numbers[self._column], 0, len(body)), *body]

    def finish(self) -> bytes:
        return b"".join([*self._code, _ret(_ALLOW)])


def _only_if_argument(index: int, allowed: int) -> list[bytes]:
    """Allows the call if the low 32 bits of an argument are `allowed`."""
    return [_argument(index), _jump(_EQUAL, allowed, 1, 0), _ret(_REFUSE)]


def _load(offset: int) -> bytes:
    return struct.pack("=HBBI", _LOAD, 0, 0, offset)


def _argument(index: int, *, high: bool = False) -> bytes:
    return _load(16 + 8 * index + 4 * high)  # struct seccomp_data, little endian


def _jump(kind: int, value: int, if_true: int, if_false: int) -> bytes:
    return struct.pack("=HBBI", kind, if_true, if_false, value)


def _ret(action: int) -> bytes:
    return struct.pack("=HBBI", _RETURN, 0, 0, action)
