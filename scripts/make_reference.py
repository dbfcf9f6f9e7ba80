"""Writes the pages of docs/reference that the code itself knows: python scripts/make_reference.py [--check]

Verbs come from the command line's own objects, settings from the settings classes (a setting is described by its `description` or by the
text under it), models and errors from their docstrings. Whatever lacks words is an error. --check writes nothing and fails where a page is
not what would be written.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
import textwrap
import types
import typing
from pathlib import Path
from typing import Any

import typer

from tastemaker import errors, resolve
from tastemaker.cli.app import app
from tastemaker.data.config import Columns, DataConfig
from tastemaker.data.features.config import FeaturesConfig, FieldConfig
from tastemaker.data.features.moments import MomentsConfig
from tastemaker.data.item_contents import ContentConfig, ModalityConfig
from tastemaker.data.propensity import PropensityConfig
from tastemaker.data.requests import RequestsConfig
from tastemaker.data.rows import RowsConfig, RowSplitConfig
from tastemaker.data.splits import _DEFAULTS as SPLIT_DEFAULTS
from tastemaker.data.splits import SplitConfig
from tastemaker.experiment import space
from tastemaker.experiment.catalogue import catalogue, encoders
from tastemaker.experiment.config import EvaluateSection, RunSection
from tastemaker.experiment.rank_config import RowEvaluateConfig
from tastemaker.experiment.stage_config import SourceConfig
from tastemaker.recommend.language import LanguageSettings
from tastemaker.recommend.objective import Objective
from tastemaker.settings import Settings
from tastemaker.train.config import TrainConfig
from tastemaker.train.rows import RowTrainConfig

FOLDER = Path(__file__).parents[1] / "docs" / "reference"
NOTE = "<!-- written by scripts/make_reference.py; `make docs` writes it afresh -->\n"

_RANKERS = "Where `[model] name` is a ranker, the file has these sections instead. `data describe` prints the `[features]` that it would take."
_STAGES = "Where there are `[sources.NAME]`, the file has these sections, and `[data]`, `[split]` and `[evaluate]` as above, `[features]`, `[train]` and `[objectives.NAME]` as of rankers."
_OF_STAGES: list[tuple[str, type[Settings]]] = [
    ("sources.NAME", SourceConfig),
    ("moments", MomentsConfig),
    ("rows", RequestsConfig),
]
_OF_RANKERS: list[tuple[str, type[Settings]]] = [
    ("data", RowsConfig),
    ("split", RowSplitConfig),
    ("features", FeaturesConfig),
    ("features.fields.NAME", FieldConfig),
    ("train", RowTrainConfig),
    ("evaluate", RowEvaluateConfig),
    ("propensity", PropensityConfig),
    ("objectives.NAME", Objective),
]


def main(check: bool) -> int:
    """Writes the pages, or says which differ."""
    pages = {
        "cli.md": cli(),
        "configuration.md": configuration(),
        "models.md": models(),
        "encoders.md": encoder_page(),
        "errors.md": error_page(),
    }
    stale = []
    for name, text in pages.items():
        path, whole = FOLDER / name, text.rstrip() + "\n"
        if check and (not path.exists() or path.read_text(encoding="utf-8") != whole):
            stale.append(name)
        elif not check:
            path.write_text(whole, encoding="utf-8")
    if stale:
        print(f"docs/reference: {', '.join(stale)} not up to date; run python scripts/make_reference.py")
    return bool(stale)


def cli() -> str:
    """The verbs."""
    lines = [
        "# Command line",
        NOTE,
        "`tastemaker VERB --help` says the same. Exit codes: 0 all is well, 1 it failed, 2 the user's mistake, 130 interrupted.",
        "",
    ]
    lines += ["With `--json` the last line of standard output is one object; progress and messages go to standard error.", ""]
    for name, command in _verbs(typer.main.get_command(app)):
        text = inspect.cleandoc(command.help or "").replace(r"\[", "[")
        lines += [f"## {name}", "", _wanted(text, f"verb {name}"), ""]
        rows = []
        for option in command.params:
            shown = (
                ", ".join(f"`{flag}`" for flag in option.opts) if option.param_type_name == "option" else f"`{option.metavar}`"
            )
            if option.param_type_name == "option" and option.metavar:
                shown += f" `{option.metavar}`"
            if option.name == "help":
                continue
            default = "" if option.default in (None, False) or option.required else f" Default: `{option.default}`."
            needed = " Needed." if option.required else ""
            rows.append(f"| {shown} | {_cell(_wanted(option.help or '', f'{name} {option.name}'))}{needed}{default} |")
        if rows:
            lines += ["| | |", "|---|---|", *rows, ""]
        examples = [line.replace(r"\[", "[") for line in (command.epilog or "").split("\n\n")[1:]]
        lines += ["```sh", *_checked(examples, f"examples of {name}"), "```", ""]
    return "\n".join(lines)


def _verbs(group: Any, before: str = "") -> list[tuple[str, Any]]:
    found = []
    for name, command in group.commands.items():
        full = f"{before} {name}".strip()
        found += _verbs(command, full) if hasattr(command, "commands") else [(full, command)]
    return found


def configuration() -> str:
    """The sections and their keys."""
    lines = [
        "# Configuration",
        NOTE,
        "One TOML file, read by `tastemaker train`, `evaluate` and `data describe`. Unknown keys are errors that name the nearest known one. Paths are relative to the",
        "file; `${NAME}` and `${NAME:-default}` stand for environment variables. `--set a.b=value` overrides a key on the command line. What is left",
        "open is chosen from the data; `config.toml` in the run's folder says how. Five lines do:",
        "",
        "```toml",
        'data.events = "orders.csv"',
        'data.columns = { user = "customer", item = "sku", time = "date" }',
        'split.kind = "by_time"',
        'model.name = "sasrec"',
        "train.seed = 1",
        "```",
        "",
    ]
    sections: list[tuple[str, type[Settings], str]] = [
        ("data", DataConfig, ""),
        ("data.columns", Columns, ""),
        ("split", SplitConfig, _split_table()),
        ("content", ContentConfig, "Settings of each encoder: [encoders](encoders.md)."),
        ("content.modalities.NAME", ModalityConfig, ""),
        ("train", TrainConfig, "Models that are solved in one step (`tastemaker models`) take only `refit` from this section."),
        ("evaluate", EvaluateSection, ""),
        ("run", RunSection, ""),
        (
            "language",
            LanguageSettings,
            "Of the file that `tastemaker evaluate --language` is given, and of `tastemaker serve --set language.KEY=VALUE`.",
        ),
    ]
    for name, kind, more in sections:
        lines += [
            f"## [{name}]",
            "",
            inspect.cleandoc(kind.__doc__ or ""),
            "",
            *([more, ""] if more else []),
            *_settings(kind, name),
            "",
        ]
    lines += ["## [tune]", "", inspect.cleandoc(space.__doc__ or "").partition("\n\n")[2], "", "A range:", ""]
    lines += [*_settings(space.Range, "tune"), ""]
    lines += ["# Configuration of rankers", "", _RANKERS, ""]
    for name, kind in _OF_RANKERS:
        lines += [f"## ranker: [{name}]", "", inspect.cleandoc(kind.__doc__ or ""), "", *_settings(kind, name), ""]
    lines += ["# Configuration of two stages", "", _STAGES, ""]
    for name, kind in _OF_STAGES:
        lines += [f"## two stages: [{name}]", "", inspect.cleandoc(kind.__doc__ or ""), "", *_settings(kind, name), ""]
    lines += ["## two stages: [ranker]", "", "`name` is one of the rankers below, the other keys are its own.", ""]
    lines += ["## [model]", "", "`name` is one of the models below, the other keys are its own.", ""]
    for name in (*resolve.model_names(), *resolve.ranker_names()):
        kind = (resolve.model_class if name in resolve.model_names() else resolve.ranker_class)(name).Config
        lines += [f"### {name}", "", inspect.cleandoc(kind.__doc__ or ""), "", *_settings(kind, name), ""]
    return "\n".join(lines)


def _split_table() -> str:
    rows = [f"| `{kind}` | {', '.join(f'`{key}`' for key in options) or 'none'} |" for kind, options in SPLIT_DEFAULTS.items()]
    return "\n".join(["| kind | its settings |", "|---|---|", *rows])


def _settings(kind: type[Settings], section: str) -> list[str]:
    words = _texts(kind)
    rows = []
    for name, field in kind.model_fields.items():
        text = _wanted(field.description or words.get(name, ""), f"{section}.{name}")
        rows.append(f"| `{name}` | {_cell(_type(field.annotation))} | {_cell(_default(field))} | {_cell(text)} |")
    return ["| key | type | default | |", "|---|---|---|---|", *rows] if rows else ["No settings."]


def _texts(kind: type) -> dict[str, str]:
    """The text that stands under each field in the source, inherited fields included."""
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if base is Settings or not issubclass(base, Settings):
            continue
        body = ast.parse(textwrap.dedent(inspect.getsource(base))).body[0]
        assert isinstance(body, ast.ClassDef)
        for field, after in zip(body.body, body.body[1:], strict=False):
            is_text = (
                isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) and isinstance(after.value.value, str)
            )
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and is_text:
                found[field.target.id] = " ".join(after.value.value.split())  # type: ignore[attr-defined]
    return found


def _type(annotation: Any) -> str:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _type(arguments[0])
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_type(one) for one in arguments if one is not type(None))
    if origin is typing.Literal:
        return " ".join(f"`{one}`" for one in arguments)
    if origin in (list, tuple):
        return "list of " + _type(arguments[0])
    if origin is dict:
        return "table of " + _type(arguments[1])
    names = {str: "text", int: "integer", float: "number", bool: "true or false"}
    return names.get(annotation) or ("section" if issubclass(annotation, Settings) else annotation.__name__)


def _default(field: Any) -> str:
    if field.is_required():
        return "needed"
    value = field.get_default(call_default_factory=True)
    if value is None or isinstance(value, Settings):
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple | list):
        return f"`{list(value)}`".replace("'", '"')
    return f"`{value}`"


def models() -> str:
    """The models in their own words."""
    lines = ["# Models", NOTE, "| name | learns from | what it is | source |", "|---|---|---|---|"]
    lines += [
        f"| [`{row['name']}`](#{row['name']}) | {row['learns_from']} | {_cell(row['summary'])} | {_cell(row['source'])} |"
        for row in catalogue()
    ]
    for name in (*resolve.model_names(), *resolve.ranker_names()):
        kind = (resolve.model_class if name in resolve.model_names() else resolve.ranker_class)(name)
        text = _wanted(inspect.cleandoc(kind.__doc__ or ""), f"model {name}")
        lines += ["", f"## {name}", "", text, "", f"Settings: [configuration](configuration.md#{name})."]
    return "\n".join(lines)


def encoder_page() -> str:
    """The encoders in their own words."""
    lines = ["# Encoders", NOTE, "| name | reads | what it is | source |", "|---|---|---|---|"]
    lines += [
        f"| [`{row['name']}`](#{row['name']}) | {row['reads']} | {_cell(row['summary'])} | {_cell(row['source'])} |"
        for row in encoders()
    ]
    for name in resolve.encoder_names():
        kind = resolve.encoder_class(name)
        text = _wanted(inspect.cleandoc(kind.__doc__ or ""), f"encoder {name}")
        lines += ["", f"## {name}", "", text, "", *_settings(kind.Config, name)]
        for key, field in kind.Config.model_fields.items():
            if isinstance(field.annotation, type) and issubclass(field.annotation, Settings):
                about = _wanted(inspect.cleandoc(field.annotation.__doc__ or ""), f"{name} {key}")
                lines += ["", f"`{key}`: {about}", "", *_settings(field.annotation, f"{name}.{key}")]
    return "\n".join(lines)


def error_page() -> str:
    """The exceptions."""
    tree = (errors.__doc__ or "").split("```")[1].strip("\n")
    lines = ["# Errors", NOTE, "Each error says what was expected, what was found, and a hint on what to do:", ""]
    lines += ["```text", "error: expected one of als, ease, …; found model 'sasrek'", "hint: did you mean 'sasrec'?", "```", ""]
    lines += [
        "The command line prints that, never a traceback, and ends with the error's exit code. In Python all are `tastemaker.errors`,",
        "with `expected`, `found` and `hint` as attributes. `TASTEMAKER_DEBUG=1` shows where an error was raised.",
        "",
    ]
    lines += ["```text", tree, "```", "", "| error | exit code | when |", "|---|---|---|"]
    for name, kind in vars(errors).items():
        if isinstance(kind, type) and issubclass(kind, Exception):
            assert name in tree, f"{name} is not in the tree of errors.py"
            first = (inspect.getdoc(kind) or "").split("\n")[0]
            lines.append(f"| `{name}` | {kind.exit_code} | {_cell(_wanted(first, name))} |")  # type: ignore[attr-defined]
    return "\n".join(lines)


def _wanted(text: str, what: str) -> str:
    if not text.strip():
        sys.exit(f"{what} has no description")
    return text


def _checked(lines: list[str], what: str) -> list[str]:
    _wanted("".join(lines), what)
    return lines


def _cell(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace("|", r"\|")


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
