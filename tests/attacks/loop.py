"""Loops for ever."""
# kind: function
# verdicts: TLE
# limits: {"cpu_s": 0.3}



def f(x):
    while True:
        pass
