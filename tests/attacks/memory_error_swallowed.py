"""Catches the error of an exceeded limit again and again."""
# kind: function
# verdicts: WA, MLE, TLE



def f(x):
    kept = []
    for size in (1 << 26, 1 << 20, 1 << 12):
        try:
            for _ in range(1 << 10):
                kept.append(bytes(size + len(kept)))
        except MemoryError:
            pass
    return len(kept)
