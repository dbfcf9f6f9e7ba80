import subprocess
import sys

import pyarrow.parquet as pq
import pytest


def test_recommend_for_a_user_leaves_out_what_was_seen(shop):
    found = shop.json("recommend", shop.artifact, "--user", "u3", "-k", "4")
    seen = {line.split(",")[1] for line in (shop.folder / "events.csv").read_text().splitlines() if line.startswith("u3,")}
    assert found["user"] == "u3"
    assert [one["rank"] for one in found["items"]] == [1, 2, 3, 4]
    assert not seen & {one["item"] for one in found["items"]}
    assert found["items"][0]["name"].startswith("Thing ")
    again = shop.json("recommend", shop.artifact, "--user", "u3", "-k", "12", "--include-seen")
    assert seen <= {one["item"] for one in again["items"]}


def test_recommend_for_a_history_gives_reasons_and_tells_unknown_ids(shop):
    found = shop.json("recommend", shop.artifact, "--history", "i1, i2,nothing", "-k", "3", "--reasons")
    assert found["unknown"] == ["nothing"]
    assert {reason["item"] for one in found["items"] for reason in one["reasons"]} <= {"i1", "i2"}


def test_recommend_for_a_stranger_says_where_the_list_comes_from(shop):
    result = shop.call("recommend", shop.artifact, "--user", "nobody")
    assert result.exit_code == 0
    assert "popularity" in result.stdout


def test_recommend_for_all_writes_a_parquet_of_lists(shop):
    out = shop.folder / "lists.parquet"
    found = shop.json("recommend", shop.artifact, "--all", "--out", out, "-k", "2")
    table = pq.read_table(out)
    assert table.column_names == ["user_id", "item_id", "rank", "score"]
    assert (found["rows"], found["users"], table.num_rows) == (80, 40, 80)


def test_similar_lists_other_items(shop):
    found = shop.json("similar", shop.artifact, "--item", "i4", "-k", "3")
    assert found["name"] == "Thing 4"
    assert len(found["items"]) == 3
    assert "i4" not in {one["item"] for one in found["items"]}


@pytest.mark.parametrize(
    "arguments",
    [
        ["recommend"],
        ["recommend", "--user", "u1", "--all"],
        ["recommend", "--all"],
        ["recommend", "--user", "u1", "--out", "x.parquet"],
        ["recommend", "--user", "u1", "-k", "0"],
        ["similar", "--item", "nothing"],
        ["similar"],
    ],
)
def test_questions_that_make_no_sense_end_with_2(shop, arguments):
    result = shop.call(arguments[0], shop.artifact, *arguments[1:])
    assert result.exit_code == 2
    assert "Traceback" not in result.output


def test_a_folder_that_is_no_artifact_ends_with_2(shop):
    result = shop.call("recommend", shop.folder, "--user", "u1")
    assert result.exit_code == 2
    assert "artifact" in result.stderr


def test_a_reader_that_goes_away_is_no_error(shop):
    command = [sys.executable, "-m", "tastemaker", "recommend", str(shop.artifact), "--user", "u3", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.close()
    _, said = process.communicate()
    assert (process.returncode, said) == (0, "")
