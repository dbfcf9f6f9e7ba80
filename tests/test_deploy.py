"""What is in deploy/ fits the command line and the service."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer
import yaml

from tastemaker.cli.app import app
from tests.serve.serving import serving

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
DOCKERFILE = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")


def variables() -> set[str]:
    """Every environment variable that the command line reads."""
    found: set[str] = set()

    def walk(command: Any) -> None:
        for one in getattr(command, "commands", {}).values():
            walk(one)
        for option in command.params:
            found.update([option.envvar] if isinstance(option.envvar, str) else option.envvar or ())

    walk(typer.main.get_command(app))
    return found


def test_the_images_are_plain_names_and_the_server_is_built_here() -> None:
    server, database = COMPOSE["services"]["server"], COMPOSE["services"]["database"]
    assert database["image"] == "postgres:15"
    assert (DEPLOY / server["build"]["context"] / server["build"]["dockerfile"]).resolve() == DEPLOY / "Dockerfile"
    assert server["pull_policy"] == "never"
    assert set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.M)) == {"python:3.11-slim"}


def test_every_service_has_a_health_check_and_its_data_in_a_volume() -> None:
    for name, service in COMPOSE["services"].items():
        assert service["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL"), name
        kept = [mount.split(":")[0] for mount in service["volumes"]]
        assert kept and set(kept) <= COMPOSE["volumes"].keys(), name
    assert COMPOSE["services"]["server"]["depends_on"] == {"database": {"condition": "service_healthy"}}


def test_only_the_server_has_a_port_and_that_on_this_machine_alone() -> None:
    assert COMPOSE["services"]["server"]["ports"] == ["${TASTEMAKER_BIND:-127.0.0.1:8000}:8000"]
    assert "ports" not in COMPOSE["services"]["database"]
    assert "EXPOSE 8000" in DOCKERFILE and "TASTEMAKER_PORT=8000" in DOCKERFILE


def test_the_variables_are_those_the_command_line_reads() -> None:
    unit = (DEPLOY / "tastemaker.service").read_text(encoding="utf-8")
    example = (DEPLOY / "env.example").read_text(encoding="utf-8")
    docs = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    known = variables()
    used = set(re.findall(r"TASTEMAKER_[A-Z_]+", unit + DOCKERFILE + example + json.dumps(COMPOSE)))
    assert used - {"TASTEMAKER_BIND"} <= known
    assert {"TASTEMAKER_STORE", "TASTEMAKER_HOST"} <= used
    assert {name for name in known if name.startswith("TASTEMAKER_")} <= set(re.findall(r"TASTEMAKER_[A-Z_]+", docs))
    wanted = set(re.findall(r"\$\{(\w+):\?", json.dumps(COMPOSE)))
    assert wanted == {"POSTGRES_PASSWORD"} and "POSTGRES_PASSWORD=\n" in example


def test_what_the_image_copies_is_there_and_let_through() -> None:
    sources = [name for line in re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.M) for name in line.split()]
    let_through = (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    assert sources and all((ROOT / name).exists() and f"!{name}" in let_through for name in sources)
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    extras = re.search(r"'\.\[([\w,]+)\]'", DOCKERFILE)
    assert extras and all(re.search(rf"^{extra} = \[", project, re.M) for extra in extras[1].split(","))
    assert 'readme = "README.md"' in project and "USER tastemaker" in DOCKERFILE


def test_the_health_checks_tell_a_service_from_none(tmp_path: Path) -> None:
    image = re.search(r"^\s+CMD (\[.*\])$", DOCKERFILE, re.M)
    assert image
    commands = [json.loads(image[1]), COMPOSE["services"]["server"]["healthcheck"]["test"][1:]]
    with serving(tmp_path, model=False) as server:
        for command in commands:
            assert command[0] == "python"
            code = command[2].replace("http://127.0.0.1:8000", server.url)
            assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode != 0


def test_the_unit_is_one_that_systemd_understands(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze")
    text = (DEPLOY / "tastemaker.service").read_text(encoding="utf-8")
    unit = tmp_path / "tastemaker.service"
    unit.write_text(text.replace("/opt/tastemaker/bin/tastemaker", sys.executable))
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_variables_alone_start_a_service_over_postgresql(postgres: str, tmp_path: Path) -> None:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("TASTEMAKER_")},
        "TASTEMAKER_STORE": postgres,
        "TASTEMAKER_HOST": "127.0.0.1",
        "TASTEMAKER_PORT": "0",
        "TASTEMAKER_MODELS": str(tmp_path / "models"),
        "TASTEMAKER_ORIGINS": "https://a.example https://b.example",
        "TASTEMAKER_THREADS": "1",
        "PYTHONPATH": str(ROOT / "src"),
    }
    command = [sys.executable, "-m", "tastemaker"]
    made = subprocess.run(
        [*command, "keys", "create", "--scopes", "admin", "--json"], env=environment, capture_output=True, text=True, check=True
    )
    secret = json.loads(made.stdout.splitlines()[-1])["secret"]
    service = subprocess.Popen(
        [*command, "serve", "--json"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert service.stdout is not None
        started = json.loads(service.stdout.readline())
        assert started["open"] is False
        with httpx.Client(base_url=started["url"], timeout=20) as client:
            assert client.get("/v1/popular").status_code == 401
            headers = {"authorization": f"Bearer {secret}"}
            event = {"events": [{"user_id": "u", "item_id": "i"}]}
            assert client.post("/v1/events", json=event, headers=headers).json()["accepted"] == 1
            asked = {"origin": "https://b.example", "access-control-request-method": "POST"}
            told = client.options("/v1/events", headers=asked)
            assert told.headers["access-control-allow-origin"] == "https://b.example"
    finally:
        service.terminate()
        assert service.wait(30) == 0
