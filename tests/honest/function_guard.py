"""Reads stdin under the guard, which nobody enters."""
# kind: function
# args: (3,)
# expected: 3



def f(x):
    return x


if __name__ == "__main__":
    print(f(int(input())))
