"""A run's report for people: the model beside its baselines, then what the report knows of it alone."""

from __future__ import annotations

from collections import Counter
from typing import Any

from rich.text import Text

from tastemaker.cli import show
from tastemaker.evaluate.report import headlines

_OF_EACH = 3
"""lines of a model that are shown of a search"""
_WEIGHTINGS = 7
"""lines that are shown of trade-offs; `tastemaker tradeoffs` shows all"""


def print_search(search: dict[str, Any]) -> None:
    """Prints what `--auto` tried, best first and the best few of each model, and why it chose."""
    rows, shown = [], Counter[str]()
    for one in search["tried"]:
        shown[one["model"]] += 1
        if shown[one["model"]] <= _OF_EACH:
            settings = ", ".join(f"{key} {_value(value)}" for key, value in one["settings"].items()) or "defaults"
            spread = "" if one["metric"] is None else f"± {one['spread']:.4f}"
            rows.append((one["model"], settings, one["why"], one["metric"], spread, one["epochs"], f"{one['seconds']:.1f}"))
    columns = ["candidate", "settings", "ended", search["metric"], "95 %", "epochs", "seconds"]
    show.table(f"Tried in {search['seconds']:.0f} s, by validation", columns, rows, left=3)
    if len(rows) < len(search["tried"]):
        print(f"and {len(search['tried']) - len(rows)} more, in report.json")
    print(f"\n{search['why']}")


def _value(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def print_report(report: dict[str, Any]) -> None:
    """Prints the test table, the paired tests in words, the validation metric that chose, and the notes."""
    test, comparison = report["test"], report["comparison"]
    rivals = report["baselines"]
    names = list(test["metrics"])
    columns = [report["model"], *rivals]
    if any(name in report["model"] for name in rivals):
        columns = [f"{report['model']} (this run)", *rivals]
    protocol = report["protocol"]
    asked = f"{protocol['test_users']:,} users, split {protocol['split']['kind']}"
    ranked = f", all {protocol['items_ranked']:,} items ranked" if protocol["items_ranked"] else ""
    if protocol.get("ranked_among"):
        ranked = f", ranked among {protocol['ranked_among']}"
    rows = []
    for name in names:
        low, high = test["intervals"].get(name, (None, None))
        spread = "" if low is None else f"{low:.4f}…{high:.4f}"
        rows.append((name, test["metrics"][name], spread, *(rival["test"]["metrics"].get(name) for rival in rivals.values())))
    show.table(f"Test: {asked}{ranked}", ["metric", columns[0], f"{test['confidence']:.0%} interval", *columns[1:]], rows)
    print()
    if test.get("parts"):
        _print_parts(report, columns)
    if comparison:
        print(_verdict(report))
    chosen = protocol["chosen_by"]
    if chosen and report["validation"]:
        print(f"validation {chosen}: {show.cell(report['validation']['metrics'].get(chosen))}", end="")
        print(
            "".join(
                f", {name} {show.cell((rival['validation'] or {}).get('metrics', {}).get(chosen))}"
                for name, rival in rivals.items()
            )
        )
    for name, rival in rivals.items():
        settings = ", ".join(f"{key} {value}" for key, value in rival["settings"].items()) or "defaults"
        how = f", best of {rival['tried']} on validation" if rival["tried"] > 1 else ""
        print(f"{name}: {settings}{how}")
    epochs = "" if report["epochs"] is None else f"{report['epochs']} epochs, "
    print(f"{report['model']}: {epochs}{report['train_seconds']:.1f} s of training, at most {report['peak_memory_mb']:,.0f} MB")
    for note in report["notes"]:
        show.console().print(Text(f"note: {note}"))


def _print_parts(report: dict[str, Any], columns: list[str]) -> None:
    """Prints the questions by how cold the item and the user are: a line a part and metric, * where a paired test tells a baseline apart."""
    test, rivals = report["test"], report["baselines"]
    told = (report["comparison"] or {}).get("parts", {})
    rows = []
    for name, part in test["parts"].items():
        counts = part["counts"]
        for place, metric in enumerate(headlines(test["metrics"])):
            low, high = part["intervals"].get(metric, (None, None))
            verdicts = told.get(name, {}).get("metrics", {}).get(metric, {})
            others = []
            for rival, values in rivals.items():
                value = values["test"].get("parts", {}).get(name, {}).get("metrics", {}).get(metric)
                verdict = next(
                    (one["verdict"] for label, one in verdicts.items() if label in (rival, f"{rival} (baseline)")), ""
                )
                others.append(f"{show.cell(value)}{'*' if verdict else ' '}")
            rows.append(
                (
                    *((name, counts["users_asked"], counts["targets"]) if not place else ("", "", "")),
                    metric,
                    part["metrics"][metric],
                    "" if low is None else f"{low:.4f}…{high:.4f}",
                    *others,
                )
            )
    interval = f"{test['confidence']:.0%} interval"
    show.table("By coldness", ["part", "users", "targets", "metric", columns[0], interval, *columns[1:]], rows)
    print("* differs from the model: p < .05, paired t over users, Holm\n" if told else "")


def print_retrieval(report: dict[str, Any]) -> None:
    """Prints how much of what users chose each source of a two-stage recommender finds, and all together."""
    found = report["retrieval"]
    depth = found["depth"] | {"pool": f"{found['candidates']:.0f}"}
    show.table(
        "Retrieval", ["source", "candidates", "recall"], [(name, depth[name], value) for name, value in found["recall"].items()]
    )
    print()


def print_tradeoffs(report: dict[str, Any]) -> None:
    """Prints what each objective of a two-stage recommender gives each label; marked: no other gives more of one and as much of all."""
    found = report["tradeoffs"]
    if not found:
        return
    labels = list(next(iter(found.values())))
    rows = []
    for name, own in found.items():
        beaten = any(
            all(other[label] >= own[label] for label in labels) and any(other[label] > own[label] for label in labels)
            for other in found.values()
        )
        rows.append((name, *(own[label] for label in labels), "" if beaten else "*"))
    show.table(f"{report['protocol']['chosen_by']} of each label, by objective", ["objective", *labels, "best"], rows)
    print()


def print_rank_report(report: dict[str, Any]) -> None:
    """Prints a ranker's metrics beside its baselines, the paired tests of its AUC, the reliability curve, and the notes."""
    test, rivals = report["test"], report["baselines"]
    rows = []
    for name, value in test["metrics"].items():
        low, high = test["intervals"].get(name, (None, None))
        spread = "" if low is None else f"{low:.4f}…{high:.4f}"
        rows.append((name, value, spread, *(rival["test"]["metrics"].get(name) for rival in rivals.values())))
    columns = ["metric", report["model"], f"{test['confidence']:.0%} interval", *rivals]
    show.table(f"Test: {test['rows']:,} rows, split {report['protocol']['split']['kind']}", columns, rows)
    for name, one in (report["comparison"] or {}).items():
        low, high = one["interval"]
        print(
            f"auc: {report['model']} is {-one['value']:+.4f} from {name} ({-high:+.4f} … {-low:+.4f}, p = {one['p_value']:.2g}, DeLong)"
        )
    for name, label in test.get("labels", {}).items():
        lines = [
            (one["predicted"], one["share"], f"{one['low']:.4f}…{one['high']:.4f}", one["rows"]) for one in label["reliability"]
        ]
        print()
        show.table(f"Reliability of {name}", ["predicted", "observed", "interval", "rows"], lines, left=0)
    if report.get("tradeoffs"):
        print()
        _print_tradeoffs(report["tradeoffs"])
    print(
        f"{report['model']}: {report['epochs']} epochs, {report['train_seconds']:.1f} s of training, at most {report['peak_memory_mb']:,.0f} MB"
    )
    for note in report["notes"]:
        show.console().print(Text(f"note: {note}"))


def _print_tradeoffs(found: dict[str, Any]) -> None:
    """Prints the weightings that no other beats on validation; a few of them, evenly spread, where there are many."""
    best = [point for point in found["points"] if point["best"]]
    shown = (
        [best[place * (len(best) - 1) // (_WEIGHTINGS - 1)] for place in range(_WEIGHTINGS)]
        if len(best) > _WEIGHTINGS
        else best
    )
    rows = [
        (
            *point["weights"].values(),
            *(point[side][label]["value"] for side in ("validation", "test") for label in found["labels"]),
        )
        for point in shown
    ]
    columns = [f"weight {label}" for label in found["labels"]]
    columns += [f"{side} {label}" for side in ("validation", "test") for label in found["labels"]]
    lists = "a tenth of the rows" if found["k"] is None else f"the first {found['k']} of each list"
    show.table(f"Weightings that no other beats, of {len(found['points'])}: mean label of {lists}", columns, rows, left=0)
    print()


def _verdict(report: dict[str, Any]) -> str:
    """What the paired tests say, in one line: each baseline's corrected p under the metric that chose, or the first."""
    comparison = report["comparison"]
    table = comparison["metrics"]
    metric = report["protocol"]["chosen_by"]
    metric = metric if metric in table else next(iter(table))
    reference = comparison["reference"]
    parts = []
    for name, row in table[metric].items():
        if name != reference:
            sense = {"better": "is behind", "worse": "is ahead of", "": "cannot be told from"}[row["verdict"]]
            p = "p < .001" if row["p_holm"] < 0.001 else f"p = {row['p_holm']:.3f}".replace("0.", ".")
            parts.append(f"{sense} {name} ({-row['difference']:+.4f}, {p})")
    return f"{metric}: {reference} {'; '.join(parts)} (paired t over users, Holm)"


def print_language(report: dict[str, Any]) -> None:
    """Prints what a language model's order did to the lists, and what it cost."""
    rows = []
    for metric, values in report["comparison"]["metrics"].items():
        before, after = values["without"], values["with"]
        rows.append((metric, before["value"], after["value"], after["difference"], f"{after['p_value']:.3g}"))
    columns = ["metric", "without", "with", "difference", "p"]
    show.table(f"{report['model']}: {report['users']:,} users on the {report['side']} side", columns, rows, left=1)
    cost, seconds = report["cost"], report["cost"]["seconds_a_list"]
    print(f"\n{cost['changed']:,} lists changed; a list took {seconds['median']:.3f} s, 95 % at most {seconds['95 %']:.3f} s")
    tokens, calls = cost["tokens"], sum(cost["calls"].values())
    print(f"{calls:,} calls, {tokens['read']:,} tokens read, {tokens['written']:,} written, price {cost['price']:.4g}")
    if cost["left_as_they_were"]:
        print("left as they were: " + ", ".join(f"{count:,} {why}" for why, count in cost["left_as_they_were"].items()))
    if faults := cost["faults"].get("order"):
        print("left out of replies: " + ", ".join(f"{count:,} {what}" for what, count in faults.items()))
