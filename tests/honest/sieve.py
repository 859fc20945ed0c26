"""Counts the primes below a million."""
# kind: function
# args: (1000000,)
# expected: 78498



def f(x):
    sieve = bytearray(b"\x01") * (x + 1)
    sieve[:2] = b"\0\0"
    for i in range(2, int(x**0.5) + 1):
        if sieve[i]:
            sieve[i * i :: i] = bytes(len(range(i * i, x + 1, i)))
    return sum(sieve)
