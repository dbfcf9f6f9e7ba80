"""Logging: readable lines for people, JSON lines for machines, a run id on each record."""

from __future__ import annotations

import json
import logging
import sys
import time

logger = logging.getLogger("tastemaker")
"""The one logger; modules use it directly."""


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {"time": round(record.created, 3), "level": record.levelname.lower(), "message": record.getMessage()}
        line.update(getattr(record, "context", {}))
        return json.dumps(line, ensure_ascii=False)


class _Plain(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        mark = "" if record.levelno <= logging.INFO else f"{record.levelname.lower()}: "
        return f"{clock} {mark}{record.getMessage()}"


class _Context(logging.Filter):
    def __init__(self, context: dict[str, str]) -> None:
        super().__init__()
        self.context = context

    def filter(self, record: logging.LogRecord) -> bool:
        record.context = self.context
        return True


def configure(*, json_lines: bool = False, level: int = logging.INFO, **context: str) -> None:
    """Sends log records to standard error; `context` (such as run="…") goes on each JSON line."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines() if json_lines else _Plain())
    handler.addFilter(_Context(context))
    logger.handlers[:] = [handler]
    logger.setLevel(level)
    logger.propagate = False
