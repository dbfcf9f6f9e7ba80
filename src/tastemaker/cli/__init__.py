"""The command line: verbs that parse, call one function and print."""


def main() -> None:
    """Entry point of the `tastemaker` command."""
