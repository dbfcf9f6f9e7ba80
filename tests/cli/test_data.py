import pyarrow.parquet as pq

from tastemaker.store.base import Event, Item, Shown, open_store


def test_import_writes_a_folder_that_describe_and_train_take(shop):
    to = shop.folder / "imported"
    found = shop.json(
        "data", "import", shop.folder / "events.csv", "--to", to, "--items", shop.folder / "items.csv", "--user", "user"
    )
    assert found["accepted"] == found["rows"] == pq.read_table(to / "events.parquet").num_rows
    facts = shop.json("data", "describe", to)
    assert (facts["users"], facts["items"]) == (40, 12)
    assert facts["split"] == "leave_last"


def test_describe_prints_problems_with_remedies(shop):
    result = shop.call("data", "describe", shop.config, "--set", "split.kind=by_share")
    assert result.exit_code == 0, result.output
    assert "read" in result.stdout
    assert shop.json("data", "describe", shop.config, "--set", "split.kind=by_share")["split"] == "by_share"


def test_rejected_rows_are_counted(shop):
    (shop.folder / "bad.csv").write_text("user,item,time\na,x,1700000000\nb,,1700000001\na,y,never\nb,x,1700000002\n")
    found = shop.json("data", "import", shop.folder / "bad.csv", "--to", shop.folder / "bad")
    assert (found["rows"], found["accepted"]) == (4, 2)
    assert sum(reject["rows"] for reject in found["rejects"]) == 2


def test_a_missing_file_and_a_wrong_column_end_with_2(shop):
    for arguments in (["none.csv"], [shop.folder / "events.csv", "--user", "usr"]):
        result = shop.call("data", "import", *arguments, "--to", shop.folder / "x")
        assert result.exit_code == 2, result.output
        assert "Traceback" not in result.output


def test_impressions_are_written_and_an_empty_store_says_so(shop):
    url = str(shop.folder / "live.db")
    with open_store(url) as store:
        store.put_items([Item("a", {"price": 2.0}), Item("b", {"price": 3.5})])
        result = shop.call("data", "impressions", url, "--to", shop.folder / "rows.parquet")
        assert result.exit_code == 2 and "no answers" in result.output
        store.add_answers([Shown("r", "u", 1_700_000_000_000_000, ("a", "b"), "ease/1")])
        store.add_events([Event("u", "b", 1_700_000_001_000_000, "click", recommendation_id="r", position=2)])
    found = shop.json("data", "impressions", url, "--to", shop.folder / "rows.parquet", "--within", "1")
    assert (found["rows"], found["answers"], found["labels"]) == (2, 1, {"label.click": 0.5})
    assert pq.read_table(shop.folder / "rows.parquet")["label.click"].to_pylist() == [0.0, 1.0]
    assert "--after" in shop.call("data", "impressions", url, "--to", shop.folder / "rows.parquet").stdout
