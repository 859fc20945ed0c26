"""Writes a file of 100 MB."""
# kind: function
# verdicts: RE, WA



def f(x):
    with open("sandbox-left-behind-large", "wb") as file:
        for _ in range(100):
            file.write(bytes(1 << 20))
    return 918273645
