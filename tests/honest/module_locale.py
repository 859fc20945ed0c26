"""Sets the locale and formats numbers."""
# kind: stdin
# stdin: ""
# stdout: "1,234,567.89 utf-8\n"

import locale
import sys

locale.setlocale(locale.LC_ALL, "")
print(f"{1234567.891:,.2f}", sys.stdout.encoding.lower())
