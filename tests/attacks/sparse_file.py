"""Makes a file of 256 GB that holds nothing."""
# kind: function
# verdicts: RE, WA

import os


def f(x):
    with open("sandbox-left-behind-sparse", "wb") as file:
        try:
            os.truncate(file.fileno(), 256 << 30)
            return 918273645
        finally:
            os.unlink("sandbox-left-behind-sparse")
