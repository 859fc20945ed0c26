"""Uses context variables and context managers."""
# kind: function
# args: (1,)
# expected: [2, 1, ["in", "out"]]

import contextlib
import contextvars

var = contextvars.ContextVar("var", default=1)
log = []


@contextlib.contextmanager
def changed(value):
    token = var.set(value)
    log.append("in")
    try:
        yield
    finally:
        log.append("out")
        var.reset(token)


def f(x):
    with changed(x + 1), contextlib.suppress(ValueError):
        inner = var.get()
        raise ValueError
    return [inner, var.get(), log]
