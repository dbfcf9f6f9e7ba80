import subprocess
import sys
import time

import pytest
import typer
from typer.testing import CliRunner

from tastemaker.cli.app import app
from tastemaker.cli.frame import add, group
from tastemaker.errors import ConfigError, TrainingError

VERBS = [
    ["demo"],
    ["data", "import"],
    ["data", "describe"],
    ["data", "impressions"],
    ["train"],
    ["tune"],
    ["evaluate"],
    ["compare"],
    ["recommend"],
    ["similar"],
    ["predict"],
    ["tradeoffs"],
    ["models"],
    ["encoders"],
    ["runs"],
    ["doctor"],
    ["serve"],
    ["keys", "create"],
    ["keys", "list"],
    ["keys", "revoke"],
    ["versions", "list"],
    ["versions", "add"],
    ["versions", "promote"],
    ["versions", "rollback"],
    ["store", "import"],
    ["store", "backup"],
    ["store", "restore"],
    ["store", "verify"],
    ["store", "statistics"],
]


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_help_of_every_verb_shows_an_example(verb):
    result = CliRunner().invoke(app, [*verb, "--help"])
    assert result.exit_code == 0
    text = result.stdout
    assert "Example" in text
    assert f"tastemaker {' '.join(verb)}" in " ".join(text.split("Example")[1].split())


def test_help_shows_the_names_of_sections():
    text = " ".join(CliRunner().invoke(app, ["evaluate", "--help"]).stdout.split())
    assert "The [data], [split] and [evaluate] sections count" in text


def test_the_verbs_are_those_of_the_help():
    groups = {info.name: info.typer_instance for info in app.registered_groups}
    verbs = [[command.name] for command in app.registered_commands]
    verbs += [[name, command.name] for name, inner in groups.items() for command in inner.registered_commands]
    assert sorted(verbs) == sorted(VERBS)


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from typer.testing import CliRunner; from tastemaker.cli.app import app; "
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0; "
        "print([name for name in ('torch', 'ibis', 'pyarrow', 'numpy', 'scipy', 'pydantic') if name in sys.modules])"
    )
    began = time.process_time()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert time.process_time() - began < 0.6


def test_the_version_is_printed():
    from tastemaker import __version__

    assert CliRunner().invoke(app, ["--version"]).stdout.strip() == __version__


def broken(what: str):
    """An app with one verb that ends in an exception."""

    def verb() -> None:
        raise {
            "user": ConfigError("x = 3", expected="x below 2", hint="lower x"),
            "training": TrainingError("the loss is NaN"),
            "fault": ZeroDivisionError("by zero"),
            "interrupt": KeyboardInterrupt(),
            "exit": typer.Exit(7),
        }[what]

    def other() -> None:
        """A group has several verbs."""

    inner = group()
    add(inner, verb, other)
    return CliRunner().invoke(inner, ["verb"])


@pytest.mark.parametrize(
    ("what", "code", "said"),
    [
        ("user", 2, "error: expected x below 2; found x = 3\nhint: lower x\n"),
        ("training", 1, "error: the loss is NaN\n"),
        ("interrupt", 130, "interrupted\n"),
        ("exit", 7, ""),
    ],
)
def test_each_error_has_its_exit_code_and_words(what, code, said):
    result = broken(what)
    assert (result.exit_code, result.stderr) == (code, said)


def test_a_fault_is_told_without_a_traceback_and_with_one_when_asked(monkeypatch):
    result = broken("fault")
    assert result.exit_code == 1
    assert "ZeroDivisionError: by zero" in result.stderr
    assert "Traceback" not in result.stderr
    monkeypatch.setenv("TASTEMAKER_DEBUG", "1")
    assert isinstance(broken("fault").exception, ZeroDivisionError)
