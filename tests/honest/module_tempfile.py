"""Uses temporary files and directories."""
# kind: function
# args: ("text",)
# expected: ["text", ["a.txt"], False]

import os
import tempfile


def f(x):
    with tempfile.NamedTemporaryFile("w+") as file:
        file.write(x)
        file.seek(0)
        text = file.read()
    with tempfile.TemporaryDirectory() as folder:
        open(os.path.join(folder, "a.txt"), "w").close()
        names = os.listdir(folder)
    return [text, names, os.path.exists(folder)]
