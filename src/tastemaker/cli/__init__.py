"""The command line: verbs that parse, call one function and print. Heavy imports wait until a verb runs."""


def main() -> None:
    """Entry point of the `tastemaker` command."""
    from tastemaker.cli.app import app

    app(prog_name="tastemaker")
