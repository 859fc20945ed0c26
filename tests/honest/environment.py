"""Asks for its arguments, file, processors, directory and identity."""
# kind: stdin
# stdin: ""
# stdout: "1 True True True True True\n"

import os
import platform
import sys

print(len(sys.argv), sys.argv[0].endswith(".py"), __file__.endswith(".py"), end=" ")
print((os.cpu_count() or 1) > 0, os.path.isdir(os.getcwd()), platform.system() == "Linux")
