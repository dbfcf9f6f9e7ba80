import io
import json

import numpy as np
import pytest
from rich.console import Console

from tastemaker.data.interactions import Histories
from tastemaker.errors import DataError
from tastemaker.evaluate.evaluator import EvaluateConfig, evaluate_ranking
from tastemaker.evaluate.report import Report


@pytest.fixture
def report() -> Report:
    truth = Histories.of([[2, 3], [4], [5], []])
    lists = np.array([[2, 4, 5], [3, 4, 5], [2, 3, 4], [2, 3, 4]])
    histories = Histories.of([[4, 5], [2, 3, 5], [], [2]])
    config = EvaluateConfig(ks=(1, 3), bootstrap=20)
    counts = np.array([0, 0, 5, 3, 2, 1])
    users = np.array([9, 7, 3, 4])
    return evaluate_ranking(lists, truth, counts, histories.lengths, config, users=users, histories=histories)


def test_a_report_is_the_same_after_saving_and_loading(report, tmp_path):
    report.save(tmp_path / "run", "test")
    loaded = Report.load(tmp_path / "run", "test")
    assert loaded.to_dict() == report.to_dict()
    assert loaded.users.tolist() == report.users.tolist() == [9, 7, 3]
    assert list(loaded.per_user) == list(report.per_user)
    for name, values in report.per_user.items():
        np.testing.assert_array_equal(loaded.per_user[name], values)


def test_plain_values_are_json_and_come_back(report):
    again = Report.from_dict(json.loads(json.dumps(report.to_dict(), allow_nan=False)))
    assert again.to_dict() == report.to_dict()
    assert again.per_user == {}


def test_damaged_or_missing_files_are_typed_errors(report, tmp_path):
    with pytest.raises(DataError, match=r"no report 'test'"):
        Report.load(tmp_path, "test")
    report.save(tmp_path, "test")
    arrow, text = tmp_path / "test.arrow", tmp_path / "test.json"
    whole = arrow.read_bytes()
    arrow.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="damaged"):
        Report.load(tmp_path, "test")
    arrow.write_bytes(whole)
    plain = text.read_text()
    for broken, message in [
        (plain[:40], "damaged"),
        ("[1]", "holds no report"),
        (plain.replace('"format": 1', '"format": 2'), "update"),
        (plain.replace('"counts"', '"count"'), "damaged"),
        (plain.replace("ndcg@3", "ndcg@4"), "belong together"),
    ]:
        text.write_text(broken)
        with pytest.raises(DataError, match=message):
            Report.load(tmp_path, "test")


def test_the_terminal_shows_metrics_intervals_segments_and_beyond(report):
    console = Console(width=80, file=io.StringIO())
    console.print(report)
    text = console.file.getvalue()
    assert f"{report.metrics['ndcg@3']:.4f}" in text
    assert f"{report.intervals['ndcg@3'][1]:.4f}" in text
    assert "95% interval" in text
    assert "heavy" in text
    assert "popularity lift" in text
    assert "users asked" in text
