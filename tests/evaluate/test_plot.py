import re
import sys

import numpy as np
import pytest

from tastemaker.errors import MissingExtraError
from tastemaker.evaluate.plot import write_comparison
from tastemaker.evaluate.report import Report
from tastemaker.evaluate.significance import Comparison, compare


def comparison(*metrics: str) -> Comparison:
    rng = np.random.default_rng(0)
    reports = {}
    for name, shift in (("mine", 0.0), ("other <&> $x$", 0.2), ("third", -0.2)):
        values = {metric: rng.random(200) + 0.5 + shift for metric in metrics}
        means = {metric: float(v.mean()) for metric, v in values.items()}
        reports[name] = Report(means, {m: (v - 0.02, v + 0.03) for m, v in means.items()}, values, np.arange(200))
    return compare(reports)


def words(path) -> str:
    """The text an SVG shows; matplotlib keeps each piece in a comment."""
    return " ".join(re.findall(r"<!-- (.*?) -->", path.read_text(encoding="utf-8"), flags=re.S))


def test_the_picture_names_models_metrics_values_units_and_interval(tmp_path):
    found = comparison("ndcg@10", "recall@10", "mrr@10", "map@10")
    text = words(write_comparison(found, tmp_path / "new" / "plot.svg", title="a shop"))
    for part in ("a shop", "mine (reference)", "third", "ndcg@10", "map@10", "200 users", "95% bootstrap interval"):
        assert part in text
    for row in found.rows:
        assert f"{row.value:.4f}" in text
    assert "does not start at 0" not in text


def test_an_axis_that_does_not_start_at_0_says_so(tmp_path):
    text = words(write_comparison(comparison("rmse"), tmp_path / "plot.svg"))
    assert "lower is better; the axis does not start at 0" in text
    assert "pooled over the rows of 200 users" in text


def test_equal_input_gives_an_equal_picture(tmp_path):
    first, second = (write_comparison(comparison("ndcg@10"), tmp_path / f"{n}.png").read_bytes() for n in "ab")
    assert first == second
    assert first.startswith(b"\x89PNG")


def test_metrics_can_be_chosen_and_intervals_may_be_absent(tmp_path):
    values = np.random.default_rng(0).random(30)
    reports = {
        n: Report({"ndcg@5": 0.0, "mrr@5": 0.5}, {}, {"ndcg@5": values * 0, "mrr@5": values}, np.arange(30)) for n in "ab"
    }
    text = words(write_comparison(compare(reports), tmp_path / "plot.svg", metrics=["ndcg@5"]))
    assert "ndcg@5" in text
    assert "mrr@5" not in text


def test_without_matplotlib_the_error_says_which_extra_brings_it(tmp_path, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("matplotlib")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match=r"tastemaker\[plot\]"):
        write_comparison(comparison("ndcg@10"), tmp_path / "plot.png")
