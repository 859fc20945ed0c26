"""Returns a generator, which would run code wherever it is consumed."""
# kind: function
# verdicts: WA



def f(x):
    while True:
        yield 918273645
