"""Returns an integer of 200,000 bits."""
# kind: function
# verdicts: WA



def f(x):
    return 1 << 200_000
