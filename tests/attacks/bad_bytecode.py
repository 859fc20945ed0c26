"""Runs bytecode that no compiler would make."""
# kind: function
# verdicts: RE, TLE
# limits: {"cpu_s": 0.3}



def f(x):
    code = f.__code__.replace(co_code=bytes([100, 200, 124, 250, 83, 0] * 9), co_consts=())
    return type(f)(code, {})()
