"""Stops every timer that might be set for it, again and again."""
# kind: function
# verdicts: TLE
# limits: {"cpu_s": 0.3}

import signal


def f(x):
    while True:
        signal.alarm(0)
        for timer in (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF):
            signal.setitimer(timer, 0)
