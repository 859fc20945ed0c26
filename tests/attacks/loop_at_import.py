"""Loops before there is anything to call."""
# kind: function
# verdicts: TLE
# limits: {"cpu_s": 0.3}

while True:
    pass
