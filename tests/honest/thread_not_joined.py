"""Leaves it to the interpreter to wait for the thread that prints."""
# kind: stdin
# stdin: "1 2\n"
# stdout: "3\n"

import threading
import time


def main():
    time.sleep(0.05)
    print(sum(map(int, input().split())))


threading.Thread(target=main).start()
