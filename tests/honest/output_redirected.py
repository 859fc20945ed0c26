"""Redirects stdout for a while."""
# kind: stdin
# stdin: ""
# stdout: "INNER\n"

import contextlib
import io

with contextlib.redirect_stdout(io.StringIO()) as text:
    print("inner")
print(text.getvalue().strip().upper())
