"""The way to a Ray cluster: one that is there, or one of our own on this machine.

Ray is imported here and nowhere else, and only when the Ray engine is asked for.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from typing import Any

from sandbox_runner.engine import EngineSetupError

OBJECT_STORE_BYTES = 100 << 20  # of a cluster of our own; batches are small


def connect(address: str | None) -> tuple[Any, bool]:
    """(the ray module, connected; whether it was us who connected).

    Args:
      address: "auto", "HOST:PORT" or "ray://HOST:PORT"; None for RAY_ADDRESS, and where that is
        not set for a cluster of our own on this machine.

    Raises:
      EngineSetupError: ray is not installed, or there is no cluster at the address.
    """
    try:
        import ray
    except ImportError as error:
        raise EngineSetupError(
            "the Ray engine needs Ray: pip install 'codeprm-jax[ray]', or use --engine local"
        ) from error
    if ray.is_initialized():
        if address not in (None, "auto"):
            raise EngineSetupError(
                f"this process is connected to a Ray cluster already; leave out {address!r} to use "
                "it, or call ray.shutdown() first"
            )
        return ray, False
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    options: dict[str, Any] = {}
    if address == "local":
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        # Ray lowers its workers' priority; programs should run as they do in a local Pool.
        os.environ.setdefault("RAY_worker_niceness", "0")
        options = {"include_dashboard": False, "object_store_memory": OBJECT_STORE_BYTES}
    if "://" not in address:
        options |= {"log_to_driver": False, "logging_level": logging.ERROR}
    main = threading.current_thread() is threading.main_thread()
    on_sigterm = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address, **options)
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        raise EngineSetupError(
            f"no Ray cluster could be used at {address!r} ({error}); start one with `ray start "
            "--head`, or leave the address out to have one on this machine"
        ) from error
    finally:
        if main:  # Ray has put its own there, which ends the process without a word
            signal.signal(signal.SIGTERM, on_sigterm)
    return ray, True
