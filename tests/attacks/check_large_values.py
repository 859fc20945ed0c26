"""Returns larger and larger values, each within the limits, to code that compares them."""
# kind: check
# verdicts: WA, OLE



def f(x):
    return [[x] * 1000] * 10
