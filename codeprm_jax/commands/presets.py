"""Presets: Python files under configs/ that define one `config`."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any, TypeVar

from codeprm_jax.files import InputError

T = TypeVar("T")


def read_preset(path: Path, kind: type[T]) -> T:
    """The `config` of a preset file. Raises InputError where there is none of that kind."""
    name = kind.__name__
    if not path.is_file():
        raise InputError(f"{path} does not exist; presets are in configs/")
    spec = importlib.util.spec_from_file_location("codeprm_preset", path)
    if spec is None or spec.loader is None:
        raise InputError(f"{path} is no Python file; a preset defines config = {name}(...)")
    module: Any = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (SyntaxError, ImportError, AttributeError, TypeError, NameError) as error:
        raise InputError(f"{path} cannot be loaded: {type(error).__name__}: {error}") from error
    config = getattr(module, "config", None)
    if not isinstance(config, kind):
        raise InputError(f"{path} defines no config = {name}(...)")
    return config
