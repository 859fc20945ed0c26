"""Ignores every signal and catches every exception while it loops."""
# kind: function
# verdicts: TLE
# limits: {"cpu_s": 0.3}

import signal

for number in range(1, 65):
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))


def f(x):
    while True:
        try:
            while True:
                pass
        except BaseException:
            pass
