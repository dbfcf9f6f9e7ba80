"""What every verb stands in: how help looks, and how each error ends the command.

| what happened                      | exit code                                 | on standard error                                  |
|------------------------------------|-------------------------------------------|----------------------------------------------------|
| all is well                        | 0                                         |                                                    |
| a `TastemakerError`                | its own: 2 for the user's mistake, else 1 | `error: …` and `hint: …`                           |
| anything unforeseen                | 1                                         | its type and message; all with `TASTEMAKER_DEBUG=1`|
| Ctrl-C                             | 130                                       | `interrupted`                                      |
| the reader of our output went away | 0                                         |                                                    |
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import typer
from typer.core import TyperGroup

from tastemaker.errors import TastemakerError

_DEBUG = "TASTEMAKER_DEBUG"

Json = Annotated[bool, typer.Option("--json", help="One JSON object as the last line of standard output.")]


class Verbs(TyperGroup):
    """A group of verbs that turns exceptions into exit codes."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except TastemakerError as error:
            if os.environ.get(_DEBUG):
                raise
            say(f"error: expected {error.expected}; found {error.found}" if error.expected else f"error: {error.found}")
            if error.hint:
                say(f"hint: {error.hint}")
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            say("interrupted")
            raise typer.Exit(130) from None
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains when it flushes at exit
            raise typer.Exit(0) from None
        except Exception as error:
            steers = isinstance(error, typer.Exit | typer.Abort) or hasattr(
                error, "exit_code"
            )  # typer's own way to end a command
            if steers or os.environ.get(_DEBUG):
                raise
            say(f"error: {type(error).__name__}: {error}")
            say(f"hint: this is a fault of tastemaker; {_DEBUG}=1 shows where it happened")
            raise typer.Exit(1) from None


def say(text: str) -> None:
    """A line to standard error."""
    print(text, file=sys.stderr, flush=True)


Verb = TypeVar("Verb", bound=Callable[..., None])


def example(*lines: str) -> Callable[[Verb], Verb]:
    """Gives a verb the examples that its help ends with."""

    def give(verb: Verb) -> Verb:
        verb.example = "[bold]Example[/bold]\n\n" + "\n\n".join(line.replace("[", r"\[") for line in lines)  # type: ignore[attr-defined]
        return verb

    return give


def group(**options: Any) -> typer.Typer:
    """An app of verbs."""
    return typer.Typer(
        cls=Verbs,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
        context_settings={"help_option_names": ["-h", "--help"]},
        **options,
    )


def add(app: typer.Typer, *verbs: Callable[..., None]) -> None:
    """Puts verbs into an app under the names of their functions."""
    for verb in verbs:
        told = (inspect.getdoc(verb) or "").replace("[", r"\[")  # [data] is a section, no style
        app.command(verb.__name__.rstrip("_"), help=told, epilog=getattr(verb, "example", None))(verb)
