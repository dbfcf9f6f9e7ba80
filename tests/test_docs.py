"""README and tutorials: every example in them is run; every verb, setting, model and error is in the reference."""

from __future__ import annotations

import re
import runpy
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from tests.serve.serving import serving
from typer.testing import CliRunner

import tastemaker.models
from tastemaker.cli.app import app
from tastemaker.client import Client
from tastemaker.resolve import model_names, ranker_names

ROOT = Path(__file__).parents[1]
PAGES = [
    "README.md",
    *(
        f"docs/tutorials/{name}.md"
        for name in (
            "cold_start",
            "content",
            "csv",
            "database",
            "hybrid",
            "judge",
            "language_models",
            "own_model",
            "rank",
            "tune",
            "two_stage",
        )
    ),
]
_BLOCK = re.compile(
    r"^(?:<!-- (?P<idle>not run: [^\n]+) -->\n)?```(?P<language>\w+)(?: title=\"(?P<title>[^\"]+)\")?\n(?P<text>.*?)^```$",
    re.M | re.S,
)


@dataclass(frozen=True)
class Block:
    """A fenced example."""

    language: str
    title: str | None
    text: str


def blocks(page: str) -> list[Block]:
    """The examples of a page that are to be run, in order."""
    found = _BLOCK.finditer((ROOT / page).read_text(encoding="utf-8"))
    return [Block(one["language"], one["title"], one["text"]) for one in found if not one["idle"]]


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder to work in, in which model files are found like the package's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TASTEMAKER_RUNS", raising=False)
    own = tmp_path / "src" / "tastemaker" / "models"
    tastemaker.models.__path__.append(str(own))
    before = set(sys.modules)
    yield tmp_path
    tastemaker.models.__path__.remove(str(own))
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", None) or "").startswith(str(own)):
            del sys.modules[name]


def run(block: Block, names: dict[str, object], page: str) -> None:
    """Runs an example, or writes it to the file that its title names."""
    if block.title:
        Path(block.title).parent.mkdir(parents=True, exist_ok=True)
        Path(block.title).write_text(block.text, encoding="utf-8")
    elif block.language == "python":
        exec(compile(block.text, page, "exec"), names)
    elif block.language == "sh":
        for line in block.text.replace("\\\n", " ").splitlines():
            verb, *arguments = shlex.split(line, comments=True)
            assert verb == "tastemaker", f"{page}: {line!r} is not run; say so with <!-- not run: why -->"
            result = CliRunner().invoke(app, arguments)
            assert result.exit_code == 0, f"{line}\n{result.output}"
    elif block.language == "toml":
        tomllib.loads(block.text)
    else:
        assert block.language == "text", f"{page}: a block of {block.language!r} is not run; say so"


@pytest.mark.parametrize("page", PAGES)
def test_the_examples_of_a_page_run(page: str, elsewhere: Path) -> None:
    if page == "README.md":  # "your" orders: enough of them that a split by time has three sides
        rows = [f"c{u},p{(u * 5 + step) % 12},2026-01-{1 + step:02}T{u % 24:02}:00:00" for u in range(40) for step in range(8)]
        Path("orders.csv").write_text("\n".join(["customer,sku,date", *rows]) + "\n")
    examples = blocks(page)
    assert len(examples) > 2
    names: dict[str, object] = {"__name__": "example"}
    for example in examples:
        run(example, names, page)


def test_the_examples_of_the_clients_run(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        examples = blocks("docs/clients.md")
        assert len(examples) > 6
        names: dict[str, object] = {"__name__": "example", "url": server.url}
        try:
            for example in examples:
                run(example, names, "docs/clients.md")
        finally:
            for held in names.values():
                if isinstance(held, Client | httpx.Client):
                    held.close()


def test_every_tutorial_is_run_and_in_the_menu() -> None:
    menu = (ROOT / "zensical.toml").read_text(encoding="utf-8")
    assert sorted(PAGES[1:]) == sorted(f"docs/tutorials/{path.name}" for path in (ROOT / "docs" / "tutorials").glob("*.md"))
    pages = {str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md")}
    assert set(re.findall(r'= "([\w/.-]+\.md)"', menu)) == pages


@pytest.mark.parametrize("target", ["demo", "test", "setup", "check", "bench", "docs", "slow", "clean"])
def test_make_knows_the_targets_the_readme_names(target: str) -> None:
    if shutil.which("make") is None:
        pytest.skip("no make")
    done = subprocess.run(["make", "-n", target, f"VENV={sys.prefix}"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_quickstart_has_ten_lines_and_the_config_five() -> None:
    quickstart = next(block.text for block in blocks("README.md") if block.language == "python")
    config = next(block.text for block in blocks("README.md") if block.language == "toml")
    assert len([line for line in quickstart.splitlines() if line.strip()]) <= 10
    assert len(config.splitlines()) == 5


def test_the_readme_lists_every_model_once() -> None:
    table = (ROOT / "README.md").read_text(encoding="utf-8").split("<!-- models: begin")[1].split("<!-- models: end")[0]
    assert sorted(re.findall(r"^\| `(\w+)`", table, re.M)) == sorted([*model_names(), *ranker_names()])


def test_the_readme_shows_every_folder_and_no_other() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    tree = re.findall(r"^(?:  )?([\w.]+)/ +\S", text, re.M)
    packages = {path.parent.name for path in (ROOT / "src" / "tastemaker").glob("*/__init__.py")}
    assert packages - set(tree) == set()
    assert [name for name in tree if not ((ROOT / name).is_dir() or (ROOT / "src" / "tastemaker" / name).is_dir())] == []


def test_links_within_the_documentation_lead_somewhere() -> None:
    for page in [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "bench").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
            assert "://" in target or (page.parent / target).exists(), f"{page.relative_to(ROOT)}: {target}"


def test_the_reference_is_what_the_code_says(capsys: pytest.CaptureFixture[str]) -> None:
    """An undocumented setting, verb, model or error ends here; `make docs` writes the pages afresh."""
    stale = runpy.run_path(str(ROOT / "scripts" / "make_reference.py"))["main"](check=True)
    assert not stale, capsys.readouterr().out
