"""Landlock: the file hierarchies, ports and processes that this process and its children can reach.

Needs no privilege. A second wall behind the mount namespace, and the only one where there are no
namespaces. It does not cover UDP or unix sockets with a path; the seccomp filter does.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from sandbox_runner import linux

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR, REMOVE_DIR, REMOVE_FILE = (1 << i for i in range(6))
MAKE_DIR, MAKE_REG, MAKE_FIFO, MAKE_SYM = 1 << 7, 1 << 8, 1 << 10, 1 << 12
REFER, TRUNCATE = 1 << 13, 1 << 14

READ = EXECUTE | READ_FILE | READ_DIR
WRITE = WRITE_FILE | TRUNCATE
OWN = READ | WRITE | REMOVE_DIR | REMOVE_FILE | MAKE_DIR | MAKE_REG | MAKE_FIFO | MAKE_SYM | REFER
_OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE

# The last bit that each version of the interface knows.
_FILE_BITS = {1: 12, 2: 13, 3: 14, 4: 14}
_FILE_BITS_NEWEST = 15
_NETWORK_FROM, _SCOPES_FROM = 4, 6
_TCP = 0b11  # bind and connect
_SCOPES = 0b11  # abstract unix sockets and signals


def version() -> int:
    """The version of the interface that the kernel offers, 0 for none."""
    try:
        return linux.landlock_version()
    except OSError:
        return 0


def restrict(rules: Mapping[int, Iterable[str]]) -> int:
    """Allows `rules`, {access rights: paths}, and nothing else of the file system; no TCP.

    Paths that do not exist are passed over. Mounts are forbidden from here on. Returns the version
    that was used. Raises OSError where the kernel has no Landlock or no_new_privs is not set.
    """
    found = linux.landlock_version()
    known = (1 << (_FILE_BITS.get(found, _FILE_BITS_NEWEST) + 1)) - 1
    ruleset = linux.landlock_create_ruleset(
        known,
        _TCP if found >= _NETWORK_FROM else None,
        _SCOPES if found >= _SCOPES_FROM else None,
    )
    try:
        for access, paths in rules.items():
            for path in paths:
                try:
                    fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
                except FileNotFoundError:
                    continue
                try:
                    granted = access & known
                    if not os.path.isdir(path):
                        granted &= _OF_FILES
                    linux.landlock_add_path(ruleset, fd, granted)
                finally:
                    os.close(fd)
        linux.landlock_restrict_self(ruleset)
    finally:
        os.close(ruleset)
    return found
