from typer.testing import CliRunner

from tastemaker.cli.app import app
from tastemaker.experiment import doctor
from tastemaker.resolve import encoder_names, model_names, ranker_names


def test_models_lists_every_model_with_a_word_on_it(shop):
    rows = shop.json("models")["models"]
    assert [row["name"] for row in rows] == [*model_names(), *ranker_names()]
    assert all(row["summary"] and row["learns_from"] for row in rows)
    assert {row["name"]: row["source"] for row in rows}["ease"].startswith("Steck 2019")


def test_encoders_lists_every_encoder_with_a_word_on_it(shop):
    rows = shop.json("encoders")["encoders"]
    assert [row["name"] for row in rows] == encoder_names()
    assert all(row["summary"] and row["reads"] for row in rows)


def test_the_doctor_finds_this_machine_fit(shop):
    checks = {check["name"]: check for check in shop.json("doctor")["checks"]}
    assert set(checks) == {"python", "torch", "processor", "gpu", "extras", "memory", "disk", "sample", "ledger"}
    assert checks["sample"]["ok"] is True
    assert "runs in" in checks["ledger"]["found"]


def test_the_doctor_tells_what_is_broken_and_ends_with_1(monkeypatch, tmp_path):
    monkeypatch.setenv("TASTEMAKER_RUNS", str(tmp_path))
    (tmp_path / "ledger.db").write_bytes(b"no database" * 100)
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 1
    assert "BAD ledger" in result.stdout


def test_a_check_that_fails_itself_is_a_bad_one():
    def look() -> doctor.Check:
        raise ImportError("no such library")

    assert [check.ok for check in doctor._safely(look)] == [False]
