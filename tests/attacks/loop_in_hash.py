"""Returns a set that cannot be put together without a loop in its items' hash."""
# kind: function
# verdicts: TLE, WA
# limits: {"cpu_s": 0.3}



class Loop:
    armed = False

    def __hash__(self):
        while Loop.armed:
            pass
        return 0


def f(x):
    result = [{Loop()}, frozenset([Loop()]), {Loop(): 1}.keys()]
    Loop.armed = True
    return result
