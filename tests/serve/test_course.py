"""Courses of trainings: kept beside versions, thinned, read while they are written."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as some

from tastemaker.errors import RequestError
from tastemaker.serve import course, lineage
from tastemaker.serve.registry import Registry


@pytest.fixture
def run(artifacts, tmp_path):
    """The folder of a run, as training leaves it."""
    folder = tmp_path / "run"
    (folder / "artifact").parent.mkdir()
    (folder / "artifact").symlink_to(artifacts / "good", target_is_directory=True)
    rows = [{"epoch": n, "loss": 3.0 / n, "seconds": 1.0 * n, "targets_per_second": 50.0, "recall@10": 0.1 * n} for n in (1, 2)]
    (folder / course.RECORDS).write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / course.REPORT).write_text(
        json.dumps({"run": "the-run", "data": {"fingerprint": "f00d", "interactions": 7}, "train_seconds": 2.5})
    )
    return folder


@given(some.lists(some.integers(), max_size=50), some.integers(min_value=1, max_value=20))
def test_thinned_rows_are_few_in_order_and_end_with_the_last(rows, most):
    numbered = list(enumerate(rows))
    found = course.thinned(numbered, most)
    assert len(found) == min(len(rows), most) and found == sorted(set(found))
    assert found[-1:] == numbered[-1:]


def test_a_version_tells_of_its_run(store, run):
    registry = Registry(store)
    made = registry.add(run / "artifact", "m")
    told = lineage.detail(registry, "m", made.version)
    assert (told.lineage.data, told.lineage.interactions, told.lineage.run, told.lineage.train_seconds) == (
        "f00d",
        7,
        "the-run",
        2.5,
    )
    assert told.curve.metric == "recall@10"
    assert [(row.epoch, row.loss, row.metric) for row in told.curve.epochs] == [(1, 3.0, 0.1), (2, 1.5, 0.2)]
    assert told.lineage.size > 0 and len(told.lineage.manifest) == 64 and not told.in_use


def test_what_is_not_known_of_a_version_added_by_hand_is_null(store, artifacts):
    registry = Registry(store)
    made = registry.add(artifacts / "good", "m")
    told = lineage.detail(registry, "m", made.version)
    assert (told.lineage.data, told.lineage.interactions, told.lineage.machine, told.lineage.job) == (None, None, None, None)
    assert (told.curve.metric, told.curve.epochs, told.curve.steps, told.problem) == (None, [], [], None)


def test_a_damaged_version_says_why_and_an_unknown_one_is_404(store, artifacts):
    registry = Registry(store)
    made = registry.add(artifacts / "good", "m")
    (registry.folder / "m" / str(made.version) / "manifest.json").write_text("{")
    told = lineage.detail(registry, "m", made.version)
    assert told.lineage is None and told.problem
    with pytest.raises(RequestError):
        lineage.detail(registry, "m", made.version + 1)


def test_a_line_that_is_still_being_written_is_left_out(run):
    before = course.read(run)
    with (run / course.RECORDS).open("a") as file:
        file.write('{"epoch": 3, "lo')
    assert course.read(run) == before


def test_a_report_that_cannot_be_read_is_none(tmp_path):
    course.place(tmp_path / "1").mkdir()
    for text in ("{", "[]"):
        (course.place(tmp_path / "1") / course.REPORT).write_text(text)
        assert course.report(tmp_path / "1") is None


def test_an_unknown_job_has_no_records(store):
    assert lineage.records(store, "nobody") is None


def test_a_row_that_says_nothing_is_no_point_of_a_curve(tmp_path):
    rows = [{"epoch": 1, "loss": 2.0}, {"epoch": 2, "loss": None}, {"loss": 1.0}, {"epoch": 3, "loss": 1.0, "seconds": None}]
    (tmp_path / course.RECORDS).write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert [(row.epoch, row.loss, row.seconds) for row in course.read(tmp_path)[1]] == [(1.0, 2.0, 0.0), (3.0, 1.0, 0.0)]
