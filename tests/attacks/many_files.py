"""Makes more files than a scratch directory may hold."""
# kind: function
# verdicts: WA, RE
# tiers: T1



def f(x):
    try:
        for i in range(10_000):
            open(f"sandbox-left-behind-{i}", "w").close()
    except OSError:
        return 0
    return 918273645
