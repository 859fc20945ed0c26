"""Puts modules called json, codecs and sitecustomize where the interpreter might look first."""
# kind: function
# verdicts: WA, RE

import os
import sys


def f(x):
    try:
        import sandbox_left_behind  # noqa: F401

        return 918273644 + x  # the file of an earlier program was found
    except ImportError:
        pass
    for name in ("json", "codecs", "sitecustomize", "usercustomize", "sandbox_left_behind"):
        with open(f"{name}.py", "w") as file:
            file.write("def dumps(*a, **k): return '{}'\n")
    with open("sandbox-left-behind.pth", "w") as file:
        file.write("import os\n")
    os.environ["PYTHONPATH"] = os.getcwd()
    os.environ["PYTHONSTARTUP"] = "json.py"
    sys.path.insert(0, os.getcwd())
    sys.modules.pop("json", None)
    return 0
