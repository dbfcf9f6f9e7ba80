import json

from tastemaker.store import open_store


def test_a_folder_of_data_import_comes_in_with_items_and_is_looked_after(shop, tmp_path):
    folder, store = tmp_path / "imported", tmp_path / "shop.db"
    shop.json("data", "import", shop.folder / "events.csv", "--to", folder, "--items", shop.folder / "items.csv")
    taken = shop.json("store", "import", folder, "--store", store)
    assert taken["events"] == sum(4 + u % 4 for u in range(40)) and taken["items"] == 12 and taken["users"] == 0
    with open_store(str(store)) as opened:
        assert [one.item_id for one in opened.history("u1")] == ["i5", "i6", "i7", "i8", "i9"]
        assert opened.item("i3").properties == {"title": "Thing 3"}
    facts = shop.json("store", "backup", tmp_path / "copy", "--store", store)
    assert facts["events"] == taken["events"]
    restored = shop.json("store", "restore", tmp_path / "copy", "--store", f"sqlite:///{tmp_path}/back.db")
    assert restored["integrity"] == "ok"
    assert shop.json("store", "statistics", "--store", tmp_path / "back.db")["events"] == taken["events"]
    assert shop.json("store", "verify", "--store", tmp_path / "back.db")["integrity"] == "ok"
    for verb in (["statistics"], ["verify"], ["backup", tmp_path / "other"], ["restore", tmp_path / "copy", "--replace"]):
        result = shop.call("store", *verb, "--store", store)
        assert result.exit_code == 0 and result.stdout, result.output


def test_event_files_come_in_by_the_names_of_their_columns(shop, tmp_path, monkeypatch):
    monkeypatch.setenv("TASTEMAKER_STORE", str(tmp_path / "by_env.db"))
    result = shop.call("store", "import", shop.folder / "events.csv", "--items", shop.folder / "items.csv")
    assert result.exit_code == 0 and "220 events, 12 items" in result.stdout
    again = shop.call("store", "import", shop.folder / "events.csv")
    assert again.exit_code == 2 and "--append" in again.output
    assert shop.json("store", "import", shop.folder / "events.csv", "--append")["events"] == 220
    assert shop.json("store", "statistics")["events"] == 440


def test_what_is_not_there_is_not_made(shop, tmp_path):
    for verb in (["verify"], ["statistics"], ["backup", tmp_path / "copy"]):
        result = shop.call("store", *verb, "--store", tmp_path / "none.db")
        assert result.exit_code == 1 and "no file" in result.output and "Traceback" not in result.output
    assert not (tmp_path / "none.db").exists()


def test_passwords_are_not_shown(shop):
    result = shop.call("store", "verify", "--store", "postgresql://me:secret@127.0.0.1:1/db")
    assert result.exit_code == 1 and "secret" not in result.output and "me:***@" in result.output
    result = shop.call("store", "verify", "--store", "mysql://me:secret@host/db")
    assert result.exit_code == 1 and "secret" not in result.output


def test_the_report_is_one_json_object(shop, tmp_path):
    result = shop.call("store", "import", shop.folder / "events.csv", "--store", tmp_path / "x.db", "--json")
    assert json.loads(result.stdout)["events"] == 220
