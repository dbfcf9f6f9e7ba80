"""Contents: from the `[content]` section and a catalogue to vectors of what each item is, and the encoders that made them."""

from __future__ import annotations

import difflib
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tastemaker.data.dataset import Dataset
from tastemaker.data.interactions import Interactions
from tastemaker.data.item_contents import ContentConfig, ModalityConfig
from tastemaker.encoders.base import Encoder, Progress
from tastemaker.errors import ConfigError
from tastemaker.experiment.ledger import runs_folder
from tastemaker.log import logger
from tastemaker.models.base import Model
from tastemaker.recommend.encoding import Encoding, Modality
from tastemaker.resolve import encoder_class

_VECTORS = "vectors"
"""The folder beside the runs that keeps vectors which take long to make."""
_PATHS = ("folder", "model")
"""Settings of encoders that may be paths; a relative one that exists beside the config is taken from there."""


def read_content(tree: Mapping[str, Any]) -> ContentConfig:
    """The `[content]` section, the settings of each encoder checked.

    Raises:
        ConfigError: an encoder or a setting is unknown, or a modality has columns where none are read or none where some are.
    """
    config = ContentConfig.parse(tree, "content")
    for name, one in config.modalities.items():
        kind = encoder_class(one.encoder)
        kind.Config.parse(one.settings, f"content.modalities.{name}.settings")
        if (kind.reads == "use") == bool(one.columns):
            found = f"columns = {list(one.columns)}" if one.columns else "no columns"
            expected = "none: it reads what users did" if one.columns else "columns of the catalogue to read"
            raise ConfigError(f"content.modalities.{name}: {found} for {one.encoder}", expected=expected)
    return config


def with_contents(dataset: Dataset, config: ContentConfig, train: Interactions, base: Path) -> Dataset:
    """The dataset with the contents of its items, encoders fitted on the catalogue and, where they learn from use, on `train`.

    Raises:
        ConfigError: a column is not in the catalogue.
        DataError: a column is not what its encoder reads, or no item has a vector.
        MissingExtraError: a package is missing; names the extra.
    """
    if not config.modalities:
        return dataset
    fitted = []
    for name, one in config.modalities.items():
        encoder = _made(one, base)
        columns = _columns(dataset, name, one)
        encoder.fit(dataset.catalogue.select(columns), train, _told())
        fitted.append(Modality(name, one.encoder, columns, encoder.eval()))
    encoding = Encoding(tuple(fitted), config.fusion_settings, {})
    began = time.perf_counter()
    contents = encoding.of_table(dataset.catalogue, codes=True, cache=runs_folder() / _VECTORS, progress=_told())
    encoding = replace(encoding, dims=dict(contents.schema.modalities))
    for name, present in contents.present.items():
        logger.info("contents: %s of %s items have %s", f"{int(present.sum()):,}", f"{len(dataset.items):,}", name)
    logger.info("contents encoded in %.1f s", time.perf_counter() - began)
    return replace(dataset, contents=replace(contents, encoding=encoding))


def check_use(model: Model, name: str, config: ContentConfig) -> None:
    """Raises ConfigError where a model makes nothing of contents, or has none where it needs some."""
    if model.needs_contents and not config.modalities:
        raise ConfigError(
            f"{name} without contents",
            expected="a section [content.modalities.NAME] or more",
            hint='such as [content.modalities.title] encoder = "tfidf", columns = ["title"]',
        )
    if config.modalities and not model.reads_contents:
        raise ConfigError(
            f"[content] for {name}, which learns nothing from what items are",
            expected="a model with item vectors that are trained, such as sasrec, two_tower, mf or content",
            hint="remove [content], or choose another model",
        )


def _told() -> Progress:
    """Says how encoding goes, every ten seconds."""
    began = last = time.perf_counter()

    def told(done: int, of: int) -> None:
        nonlocal last
        now = time.perf_counter()
        if now - last > 10:
            last = now
            logger.info("contents: %s of %s items encoded in %.0f s", f"{done:,}", f"{of:,}", now - began)

    return told


def _made(config: ModalityConfig, base: Path) -> Encoder:
    settings = dict(config.settings)
    for key in _PATHS:
        if isinstance(settings.get(key), str) and (base / settings[key]).exists():
            settings[key] = str(base / settings[key])
    kind = encoder_class(config.encoder)
    made: Encoder = kind(kind.Config.parse(settings, "content.modalities.settings"))
    return made


def _columns(dataset: Dataset, name: str, config: ModalityConfig) -> tuple[str, ...]:
    known = dataset.catalogue.column_names
    for column in config.columns:
        if column not in known:
            near = difflib.get_close_matches(column, known, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(known)}" if known else "[data] items = …"
            raise ConfigError(f"content.modalities.{name}: no column {column!r} in the catalogue", hint=hint)
    return config.columns
