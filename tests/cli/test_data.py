import pyarrow.parquet as pq


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
