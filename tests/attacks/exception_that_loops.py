"""Raises an exception whose text takes for ever."""
# kind: function
# verdicts: TLE
# limits: {"cpu_s": 0.3}



class Bad(Exception):
    def __str__(self):
        while True:
            pass


def f(x):
    raise Bad
