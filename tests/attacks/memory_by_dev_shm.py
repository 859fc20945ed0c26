"""Fills 600 MB of files in /dev/shm."""
# kind: function
# verdicts: WA, RE, MLE
# tiers: T1, T2



def f(x):
    try:
        for i in range(60):
            with open(f"/dev/shm/sandbox-left-behind-{i}", "wb") as file:
                file.write(bytes(10 << 20))
    except OSError:
        return 0
    return 918273645
