"""Sets the machine's clock, to the time that it shows."""
# kind: function
# verdicts: SV, RE

import time


def f(x):
    time.clock_settime(time.CLOCK_REALTIME, time.time())
    return 918273645
