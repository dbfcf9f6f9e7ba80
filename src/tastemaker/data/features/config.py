"""The `[features]` section: what the columns of labelled rows mean, where they do not say it themselves."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from tastemaker.settings import Settings

Kind = Literal["category", "categories", "sequence", "number", "vector", "time"]
Scale = Literal["standard", "log", "quantile", "buckets", "none"]

_OF = {
    "min_count": ("category", "categories"),
    "separator": ("categories", "sequence"),
    "max_length": ("categories", "sequence"),
    "shares": ("categories", "sequence"),
    "scale": ("number",),
    "buckets": ("number",),
}


class FieldConfig(Settings):
    """What one column means; what is left out is inferred from its training rows."""

    kind: Kind | None = Field(
        None,
        description="category: one of many; categories: several of many, in no order; sequence: the same, oldest first; number; "
        "vector: a list of as many numbers in every row; time: hour, weekday and season as points on circles",
    )
    min_count: Annotated[int, Field(ge=1)] = Field(1, description="categories seen less often in training count as unknown")
    separator: str | None = Field(None, description="what parts the values of a text column that holds several")
    max_length: Annotated[int, Field(ge=1)] = Field(50, description="the newest (or first) so many values of a row are read")
    shares: str | None = Field(None, description="the category column whose vocabulary and vectors these values share")
    scale: Scale = Field(
        "standard",
        description="standard: mean 0, deviation 1; log: sign(x) ln(1 + |x|), then standard; quantile: the share of training "
        "values below; buckets: a category of each of `buckets` equally full ranges; none: as it is",
    )
    buckets: Annotated[int, Field(ge=2)] = Field(32, description="of the scale buckets")

    @model_validator(mode="after")
    def _has_effect(self) -> Self:
        for name, kinds in _OF.items():
            changed = getattr(self, name) != type(self).model_fields[name].default
            if changed and self.kind is not None and self.kind not in kinds:
                raise ValueError(f"no {name}: it has no effect on a field of kind {self.kind!r}")
        if self.buckets != type(self).model_fields["buckets"].default and self.scale != "buckets":
            raise ValueError("scale = 'buckets' where buckets is set")
        return self


class FeaturesConfig(Settings):
    """Which columns are read, and as what. Everything not named is inferred, and the run's folder says how.

    With `position` a ranker learns how much of a click is owed to where a row was shown, and is asked as if all rows were shown alike: the "position as a feature" that
    Guo et al. 2019 ("PAL: a position-bias aware learning framework for CTR prediction in live recommender systems", §3.1) start from. The column is not
    read when rows are asked about. What is learned of positions is not kept apart from the rest of the ranker, as it is by PAL itself (`propensity.joint`): one that multiplies fields with
    each other has to have seen things at several positions.
    """

    fields: dict[str, FieldConfig] = Field(default_factory=dict, description="by column name")
    leave_out: tuple[str, ...] = Field((), description="columns that are not read")
    crosses: tuple[tuple[str, ...], ...] = Field(
        (), description="category columns whose combinations are categories of their own: [['user', 'weekday']]"
    )
    min_count: Annotated[int, Field(ge=1)] = Field(1, description="the default of every field's min_count; crosses too")
    position: str | None = Field(
        None,
        description="the place at which a row was shown, a number: a field that is learned from, and always position_served when asked",
    )
    position_served: float | None = Field(
        None, description="what position is when asked; default: the lowest of training, the top"
    )

    @model_validator(mode="after")
    def _crosses_differ(self) -> Self:
        for cross in self.crosses:
            if len(cross) < 2 or len(set(cross)) < len(cross):
                raise ValueError(f"two or more different columns in a cross, not {list(cross)}")
        if twice := sorted(set(self.fields) & set(self.leave_out)):
            raise ValueError(f"{twice[0]!r} in fields or in leave_out, not in both")
        if self.position is None and self.position_served is not None:
            raise ValueError("position where position_served is set")
        if self.position is not None:
            if self.position in self.leave_out:
                raise ValueError(f"{self.position!r} in position or in leave_out, not in both")
            kind = self.fields[self.position].kind if self.position in self.fields else None
            if kind not in (None, "category", "number"):
                raise ValueError(f"a category or number as position, not {kind}")
        return self
