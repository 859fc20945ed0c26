"""Replaces every encoding function in every module by one that says what it likes."""
# kind: function
# verdicts: WA, RE

import sys

for module in list(sys.modules.values()):
    for name in ("encode", "dumps", "answer", "loads", "decode", "write_payload", "write_frame"):
        try:
            setattr(module, name, lambda *a, **k: b'{"values": [{"value": null}]}')
        except Exception:
            pass


def f(x):
    return 0
