"""Runs its main function under the usual guard."""
# kind: stdin
# stdin: "1 2\n"
# stdout: "3\n"



def main():
    print(sum(map(int, input().split())))


if __name__ == "__main__":
    main()
