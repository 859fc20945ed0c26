"""Opens files until no descriptor is left, for itself and for the harness."""
# kind: function
# verdicts: RE, WA

import os


def f(x):
    try:
        for _ in range(5000):
            os.open("/dev/null", os.O_RDONLY)
    except OSError:
        return 0
    return 918273645  # nothing has stopped it
