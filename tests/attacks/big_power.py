"""Computes a power of half a billion digits, in C code."""
# kind: function
# verdicts: TLE, MLE
# limits: {"cpu_s": 0.3}



def f(x):
    return 3 ** (10**9)
