"""Loops when it is called."""
# kind: check
# verdicts: TLE
# limits: {"cpu_s": 0.3}



def f(x):
    while True:
        pass
