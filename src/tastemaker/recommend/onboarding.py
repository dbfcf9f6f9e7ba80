"""Onboarding: which items to ask a new user about, so that few answers say much about the taste.

```
prototypes z (users of like taste)   P(z | profile)            before any answer
answer a to item i                   P(a | z, i)               like, dislike, or unknown: the item is not known
belief                               P(z | answers) ∝ P(z | profile) Π P(a | z, i)
next question                        argmax over i of P(like)² · I(a; z),  both under the belief
```
`I` is the mutual information of the answer and the prototype: by how much, in expectation, an answer narrows down the taste (Golbandi, Koren &
Lempel 2011, "Adaptive bootstrapping of recommender systems using decision trees", ask adaptively too, by squared error; Rashid et al.
2002, "Getting to know you", ask by popularity and entropy). An item that the user will hardly know or like is passed over: "unknown" tires
people, and a like is what the recommender can read. Without that weight the answers tell apart who is busy from who is not, which
ranks nothing; its power was chosen on held-out users of MovieLens 100K (`bench/onboarding.py`: 1 asks worse, 3 no better for certain). Of several questions at once each is chosen with the answers to those before it in mind, by
the likeliest of these answers, so that two items that ask the same are not both asked.

Prototypes are a mixture over the answers of known users, fitted by expectation maximisation (Dempster, Laird & Rubin 1977), with
P(a | z, i) smoothed towards the rates of item i over everybody, which keeps rarely met items uninformative. It is a model of who asks for
what, made for asking; what is recommended afterwards comes from the recommender, which reads likes as the events they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from tastemaker.data.interactions import Histories
from tastemaker.data.vocabulary import FIRST
from tastemaker.store.base import DISLIKE, UNKNOWN_ITEM

LIKE = "like"
ANSWERS = (LIKE, DISLIKE, UNKNOWN_ITEM)
"""What may be answered, in the order of the last axis of `Prototypes.log_rates`."""

CANDIDATES = 500
"""Items that may be asked about: those that most users met."""
_USERS = 20_000  # a seeded sample of those with most to say
_STARTS = 3
_ROUNDS = 40
_EAGERNESS = 2
_BRANCHES = 16
"""Likeliest courses of answers that a further question is chosen by."""
_VALUES = 50  # of a profile column that are told apart, the commonest
_BINS = 4  # of a numeric profile column


@dataclass(frozen=True)
class Column:
    """What a profile column says of the prototypes."""

    edges: tuple[float, ...] | None
    """of the bins of a number; None: values count by being equal"""
    places: Mapping[str, int]
    """of values as text"""
    log_rates: np.ndarray
    """float64 (values + 1, prototypes): of each value; the last stands for all others"""

    def of(self, value: Any) -> np.ndarray | None:
        """Log P(value | prototype), float64 (prototypes,); None where nothing is known."""
        if value is None or isinstance(value, list | dict):
            return None
        if self.edges is not None:
            if isinstance(value, bool | str) or not np.isfinite(value):
                return None
            return self.log_rates[int(np.searchsorted(self.edges, float(value), side="right"))]  # type: ignore[no-any-return]
        return self.log_rates[self.places.get(str(value), len(self.places))]  # type: ignore[no-any-return]


@dataclass(frozen=True, eq=False)
class Prototypes:
    """Users of like taste, and what they would answer; immutable."""

    codes: np.ndarray
    """int32 (candidates,): items that may be asked about, ascending"""
    log_prior: np.ndarray
    """float64 (prototypes,)"""
    log_rates: np.ndarray
    """float64 (candidates, prototypes, answers)"""
    columns: Mapping[str, Column]
    """of profiles"""

    @classmethod
    def of(
        cls,
        histories: Histories,
        num_items: int,
        *,
        count: int | None = None,
        like_from: float | None = None,
        profiles: Sequence[Mapping[str, Any]] | None = None,
        candidates: int = CANDIDATES,
        smoothing: float = 10.0,
        seed: int = 0,
    ) -> Prototypes:
        """Learns prototypes from what known users did.

        Args:
            histories: of known users; the newest event of a user and item counts.
            num_items: codes of items.
            count: prototypes; None takes one for 20 users, 2 to 32.
            like_from: the least value that is a like where values are ratings; None: every event is a like, and since nobody is known to
                have disliked anything, a dislike says what "unknown" says.
            profiles: properties of these users; texts, flags and numbers among them make the prior of a new user.
            candidates: items that may be asked about, the most met.
            smoothing: users by which rates of a prototype are drawn to those of everybody.
            seed: of the start of the fit, and of the sample where there are more than 20,000 users.
        """
        rng = np.random.default_rng(seed)
        rows = np.flatnonzero(histories.lengths)
        if len(rows) > _USERS:
            rows = np.sort(rng.choice(rows, _USERS, replace=False))
        liked, disliked, codes = _answers(histories.take(rows), num_items, like_from, candidates)
        wanted = max(2, min(32, len(rows) // 20)) if count is None else count
        told, everyone, shares = _fitted(liked, disliked, max(1, min(wanted, len(rows))), smoothing, rng)
        log_rates = np.log(_rates(liked, disliked, shares, everyone, smoothing))
        seen = [profiles[row] for row in rows.tolist()] if profiles is not None else []
        columns = _columns(seen, shares, smoothing) if seen else {}
        return cls(codes, told, log_rates, columns)

    def prior(self, profile: Mapping[str, Any] | None = None) -> np.ndarray:
        """P(prototype) of somebody of whom the profile alone is known: float64 (prototypes,). Columns count as independent."""
        log = self.log_prior
        for name, column in self.columns.items():
            said = column.of((profile or {}).get(name))
            if said is not None:
                log = log + said
        return _shares_of(log)

    def belief(self, answers: Mapping[int, str], profile: Mapping[str, Any] | None = None) -> np.ndarray:
        """P(prototype) after answers, by item code: float64 (prototypes,). Items that may not be asked about say nothing."""
        log = np.log(np.maximum(self.prior(profile), 1e-300))
        for code, answer in answers.items():
            place = int(np.searchsorted(self.codes, code))
            if place < len(self.codes) and self.codes[place] == code:
                log = log + self.log_rates[place, :, ANSWERS.index(answer)]
        return _shares_of(log)

    def questions(self, belief: np.ndarray, n: int, *, banned: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """The next `n` items to ask about, int32 (≤ n,), and the `value` of each after those before it.

        Args:
            belief: P(prototype).
            n: how many.
            banned: bool (candidates,): not to be asked about.
        """
        rates = np.exp(self.log_rates)
        free = np.ones(len(self.codes), bool) if banned is None else ~banned
        paths, weights = belief[None], np.ones(1)
        chosen: list[int] = []
        worth: list[float] = []
        for _ in range(min(n, int(free.sum()))):
            value = np.zeros(len(self.codes))
            for path, weight in zip(paths, weights, strict=True):
                value += weight * self.value(path, rates)
            value[~free] = -np.inf
            best = int(np.argmax(value))
            chosen.append(best)
            worth.append(float(value[best]))
            free[best] = False
            paths, weights = _branches(paths, weights, rates[best])
        return self.codes[chosen], np.array(worth)

    def value(self, belief: np.ndarray, rates: np.ndarray) -> np.ndarray:
        """P(like)² · I(answer; prototype) of each candidate under a belief, the information in bits: float64 (candidates,)."""
        outcome = np.einsum("z,cza->ca", belief, rates)
        conditional = np.einsum("z,cz->c", belief, np.einsum("cza,cza->cz", rates, self.log_rates))
        information = (conditional - (outcome * np.log(outcome)).sum(axis=1)) / np.log(2)
        return np.maximum(information, 0) * outcome[:, 0] ** _EAGERNESS  # type: ignore[no-any-return]

    def liking(self, belief: np.ndarray) -> np.ndarray:
        """P(like) of each candidate under a belief: float64 (candidates,)."""
        return np.exp(self.log_rates[:, :, 0]) @ belief  # type: ignore[no-any-return]


def certainty(belief: np.ndarray, prior: np.ndarray) -> float:
    """Share of the doubt that is gone: 1 - H(belief) / H(prior), 0…1."""
    before, now = (float(-(p * np.log(np.maximum(p, 1e-300))).sum()) for p in (prior, belief))
    return float(np.clip(1 - now / before, 0, 1)) if before > 0 else 1.0


def _answers(
    histories: Histories, num_items: int, like_from: float | None, candidates: int
) -> tuple[sp.csr_matrix, sp.csr_matrix, np.ndarray]:
    """What users would have answered: 0 or 1 (users, candidates) of likes and of dislikes, and the codes of the candidates."""
    rows = np.repeat(np.arange(len(histories)), histories.lengths)
    cells = rows * np.int64(num_items) + histories.items
    order = np.argsort(cells, kind="stable")
    newest = order[np.append(cells[order][1:] != cells[order][:-1], True)[: len(order)]]
    newest = newest[histories.items[newest] >= FIRST]
    users, items = rows[newest], histories.items[newest]
    like = np.ones(len(newest), bool) if like_from is None else histories.values[newest] >= like_from
    met = np.bincount(items, minlength=num_items)
    codes = np.sort(np.argsort(-met, kind="stable")[:candidates])
    codes = codes[met[codes] > 0].astype(np.int32)
    places = np.full(num_items, -1)
    places[codes] = np.arange(len(codes))
    shape = (len(histories), len(codes))
    tables = []
    for mask in (like, ~like):
        kept = mask & (places[items] >= 0)
        tables.append(sp.csr_matrix((np.ones(kept.sum()), (users[kept], places[items[kept]])), shape=shape))
    return tables[0], tables[1], codes


def _fitted(
    liked: sp.csr_matrix, disliked: sp.csr_matrix, count: int, smoothing: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Log prior (prototypes,), rates of everybody (candidates, answers), and P(prototype | user) (users, prototypes), best of some starts."""
    everyone = _rates(liked, disliked, np.ones((liked.shape[0], 1)), np.full((liked.shape[1], 3), 1 / 3), 1.0)[:, 0]
    starts = [_climbed(liked, disliked, count, smoothing, everyone, rng) for _ in range(_STARTS)]
    _, log_prior, shares = max(starts, key=lambda start: start[0])
    return log_prior, everyone, shares


def _climbed(
    liked: sp.csr_matrix,
    disliked: sp.csr_matrix,
    count: int,
    smoothing: float,
    everyone: np.ndarray,
    rng: np.random.Generator,
) -> tuple[float, np.ndarray, np.ndarray]:
    """Expectation maximisation from one start: log likelihood, log prior, shares."""
    users, before = liked.shape[0], -np.inf
    shares = np.eye(count)[_seeded((liked - disliked).tocsr(), count, rng)]
    for _ in range(_ROUNDS):
        log_prior = np.log((shares.sum(axis=0) + 1) / (users + count))
        log = np.log(_rates(liked, disliked, shares, everyone, smoothing))
        unknown = log[:, :, 2]
        scores = liked @ (log[:, :, 0] - unknown) + disliked @ (log[:, :, 1] - unknown) + unknown.sum(axis=0) + log_prior
        most = scores.max(axis=1, keepdims=True)
        total = float((most[:, 0] + np.log(np.exp(scores - most).sum(axis=1))).sum())
        shares = _shares_of(scores)
        if total - before < 1e-6 * abs(total):
            break
        before = total
    return total, log_prior, shares


def _seeded(signs: sp.csr_matrix, count: int, rng: np.random.Generator) -> np.ndarray:
    """A first prototype of each user: the likest of `count` users drawn far from each other (k-means++, by cosine)."""
    norms = np.sqrt(np.asarray(signs.multiply(signs).sum(axis=1)).ravel())
    units = sp.diags(1 / np.where(norms > 0, norms, 1)) @ signs
    best = np.full(signs.shape[0], -1.0)
    nearest = np.zeros(signs.shape[0], np.int64)
    for place in range(count):
        distance = np.maximum(1 - best, 1e-9)
        drawn = int(rng.choice(signs.shape[0], p=distance / distance.sum()))
        cosine = np.asarray((units @ units[drawn].T).todense()).ravel()
        nearer = cosine > best
        best[nearer], nearest[nearer] = cosine[nearer], place
    return nearest


def _rates(
    liked: sp.csr_matrix, disliked: sp.csr_matrix, shares: np.ndarray, everyone: np.ndarray, smoothing: float
) -> np.ndarray:
    """P(answer | prototype, item), (candidates, prototypes, answers), drawn to the rates of everybody."""
    counts = np.stack([liked.T @ shares, disliked.T @ shares], axis=2)
    total = shares.sum(axis=0)
    rest = np.maximum(total[None, :] - counts.sum(axis=2), 0)
    counts = np.concatenate([counts, rest[:, :, None]], axis=2)
    rates = (counts + smoothing * everyone[:, None, :]) / (total[None, :, None] + smoothing)
    rates = np.maximum(rates, 1e-6)
    if not disliked.nnz:  # nobody said so: a dislike is as likely as "unknown", and says the same
        rates[:, :, 1] = rates[:, :, 2] = (rates[:, :, 1] + rates[:, :, 2]) / 2
    return rates / rates.sum(axis=2, keepdims=True)  # type: ignore[no-any-return]


def _branches(paths: np.ndarray, weights: np.ndarray, rates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Beliefs after each answer to one more question, the likeliest courses only, and their shares."""
    joint = paths[:, None, :] * rates.T[None]  # (paths, answers, prototypes)
    mass = joint.sum(axis=2)
    flat, share = joint.reshape(-1, joint.shape[2]), (weights[:, None] * mass).ravel()
    kept = np.argsort(-share, kind="stable")[:_BRANCHES]
    kept = kept[share[kept] > 0]
    beliefs = flat[kept] / flat[kept].sum(axis=1, keepdims=True)
    return beliefs, share[kept] / share[kept].sum()


def _columns(profiles: Sequence[Mapping[str, Any]], shares: np.ndarray, smoothing: float) -> dict[str, Column]:
    columns = {}
    for name in sorted({name for profile in profiles for name in profile}):
        values = [profile.get(name) for profile in profiles]
        known = np.array([value is not None and not isinstance(value, list | dict) for value in values])
        numbers = [value for value, there in zip(values, known, strict=True) if there]
        if not numbers:
            continue
        edges = None
        places: dict[str, int] = {}
        if all(isinstance(value, int | float) and not isinstance(value, bool) for value in numbers):
            cuts = np.quantile(np.array(numbers, np.float64), np.linspace(0, 1, _BINS + 1)[1:-1])
            edges = tuple(np.unique(cuts).tolist())
            owner = np.searchsorted(edges, np.array(numbers, np.float64), side="right")
            size = len(edges) + 1
        else:
            texts = [str(value) for value in numbers]
            distinct, counts = np.unique(texts, return_counts=True)
            common = distinct[np.argsort(-counts, kind="stable")][:_VALUES]
            places = {str(value): place for place, value in enumerate(common)}
            owner = np.array([places.get(text, len(places)) for text in texts])
            size = len(places) + 1
        counted = np.zeros((size, shares.shape[1]))
        np.add.at(counted, owner, shares[known])
        of_all = (counted.sum(axis=1) + 1) / (counted.sum() + size)
        rates = (counted + smoothing * of_all[:, None]) / (counted.sum(axis=0) + smoothing)
        columns[name] = Column(edges, places, np.log(rates))
    return columns


def _shares_of(log: np.ndarray) -> np.ndarray:
    """Probabilities from their logarithms, over the last axis."""
    exact = np.exp(log - log.max(axis=-1, keepdims=True))
    return exact / exact.sum(axis=-1, keepdims=True)  # type: ignore[no-any-return]
