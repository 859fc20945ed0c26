"""Runs coroutines."""
# kind: stdin
# stdin: "1 2 3\n"
# stdout: "[2, 4, 6]\n"

import asyncio


async def double(x):
    await asyncio.sleep(0.01)
    return 2 * x


async def main():
    print(await asyncio.gather(*(double(int(x)) for x in input().split())))


asyncio.run(main())
