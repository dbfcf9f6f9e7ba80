import subprocess
import sys

import numpy as np
import pytest

import tastemaker as tm
from tastemaker.data.synthetic import planted_bias, two_tastes
from tastemaker.errors import ConfigError


@pytest.fixture(scope="module")
def parts():
    return tm.split(two_tastes(80, 40, generator=0).dataset, "by_share", test_share=0.2, seed=1)


def test_the_public_surface_is_this():
    assert sorted(tm.__all__) == [
        "Dataset",
        "Parts",
        "Recommender",
        "Report",
        "TastemakerError",
        "compare",
        "describe",
        "evaluate_model",
        "load",
        "open",
        "read_config",
        "sample_path",
        "save",
        "split",
        "train_model",
        "train_run",
    ]
    assert all(getattr(tm, name) is not None for name in tm.__all__)
    with pytest.raises(AttributeError, match="no attribute 'predict'"):
        tm.predict  # noqa: B018


def test_importing_the_package_imports_nothing_heavy():
    code = "import sys, tastemaker; print([name for name in ('torch', 'numpy', 'pyarrow') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_events_become_recommendations_in_a_call_each(tmp_path):
    (tmp_path / "e.csv").write_text("customer,sku\n" + "".join(f"u{u},i{(u + n) % 6}\n" for u in range(12) for n in range(4)))
    data = tm.load(tmp_path / "e.csv", user="customer", item="sku")
    parts = tm.split(data, "by_share", test_share=0.2, validation_share=0.1, seed=0)
    recommender = tm.train_model("ease", parts, regularization=1.0)
    report = tm.evaluate_model(recommender, parts, ks=(3,), bootstrap=0)
    assert 0 <= report.metrics["ndcg@3"] <= 1
    tm.save(recommender, tmp_path / "artifact")
    again = tm.open(tmp_path / "artifact")
    assert again.recommend("u1", k=2) == recommender.recommend("u1", k=2)


def test_a_trained_model_beats_popularity_where_it_should(parts):
    settings = {"ks": (5,), "metrics": ("ndcg",), "bootstrap": 0}
    records = []
    mf = tm.train_model("mf", parts, dim=8, epochs=15, learning_rate=0.02, select="ndcg@5", on_record=records.append)
    popular = tm.train_model("popularity", parts)
    figures = [tm.evaluate_model(one, parts, **settings).metrics["ndcg@5"] for one in (mf, popular)]
    assert figures[0] > 1.5 * figures[1]
    assert any(record.metric is not None for record in records)


def test_a_rating_model_is_judged_by_its_errors():
    data = planted_bias(generator=0).dataset
    parts = tm.split(data, "by_share", seed=0)
    model = tm.train_model("mf", parts, loss="squared_error", dim=4, epochs=20, learning_rate=0.02)
    report = tm.evaluate_model(model, parts, metrics=("rmse", "mae"))
    spread = float(np.std(parts.test.value))
    assert set(report.metrics) == {"rmse", "mae"}
    assert report.metrics["rmse"] < 0.8 * spread


@pytest.mark.parametrize(
    ("model", "settings", "said"),
    [
        ("mf", {"dims": 4}, "did you mean 'dim'"),
        ("ease", {"epochs": 4}, "no setting 'epochs'"),
        ("sasrek", {}, "did you mean 'sasrec'"),
        ("mf", {"select": "rmse"}, "a ranking metric"),
    ],
)
def test_mistakes_are_named(parts, model, settings, said):
    with pytest.raises(ConfigError, match=said):
        tm.train_model(model, parts, **settings)


def test_all_of_a_dataset_needs_a_number_of_epochs(parts):
    with pytest.raises(ConfigError, match="no epochs"):
        tm.train_model("mf", parts.dataset)
