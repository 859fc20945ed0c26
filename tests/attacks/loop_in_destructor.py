"""Returns an object whose destructor loops."""
# kind: function
# verdicts: TLE, WA
# limits: {"cpu_s": 0.3}



class Loop:
    def __del__(self):
        while True:
            pass


def f(x):
    return Loop()
