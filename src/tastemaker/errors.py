"""Every error Tastemaker raises on purpose. Each says what was expected, what was found, and a hint on what to do.

```
TastemakerError
├── UserError               the input or the request is at fault      (exit code 2)
│   ├── ConfigError         a setting is unknown, missing or out of range
│   ├── DataError           events or catalogue cannot be read as asked
│   ├── UnknownIdError      an id that the vocabulary does not hold
│   ├── ArtifactError       a saved model is damaged, foreign or too new
│   ├── MissingExtraError   an optional package is not installed
│   └── RequestError        a request to the service cannot be answered as asked
│       └── FilterError     a filter does not parse or does not fit the catalogue
├── StoreError              the database cannot be reached, is damaged or too new       (exit code 1)
├── OverloadError           more requests than can be answered; try again later         (exit code 1)
└── TrainingError           training could not go on                  (exit code 1)
    └── DivergenceError     the loss became NaN or exploded
```
"""

from __future__ import annotations


class TastemakerError(Exception):
    """Base of all errors here; `str()` reads "expected …; found …. hint: …"."""

    exit_code = 1

    def __init__(self, found: str, *, expected: str = "", hint: str = "") -> None:
        self.expected, self.found, self.hint = expected, found, hint
        text = f"expected {expected}; found {found}" if expected else found
        super().__init__(text + (f". hint: {hint}" if hint else ""))


class UserError(TastemakerError):
    """The input or the request is at fault."""

    exit_code = 2


class ConfigError(UserError):
    """A setting is unknown, missing, out of range or without effect."""


class DataError(UserError):
    """Events or catalogue cannot be read as asked."""


class UnknownIdError(UserError):
    """An id that the vocabulary does not hold."""


class ArtifactError(UserError):
    """A saved model is damaged, foreign or newer than this version."""


class MissingExtraError(UserError):
    """An optional package is needed: says which extra brings it."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"the package {package!r} is not installed",
            expected=f"{package!r} for {purpose}",
            hint=f"pip install 'tastemaker[{extra}]'",
        )


class RequestError(UserError):
    """A request to the service cannot be answered as asked."""

    def __init__(self, found: str, *, code: str, status: int = 422, expected: str = "", hint: str = "") -> None:
        """`code` is short and stable, for programs; `status` the HTTP status it becomes."""
        super().__init__(found, expected=expected, hint=hint)
        self.code, self.status = code, status


class FilterError(RequestError):
    """A filter does not parse or does not fit the catalogue."""


class StoreError(TastemakerError):
    """The database cannot be reached, is damaged, or was written by a newer version."""


class OverloadError(TastemakerError):
    """More requests than can be answered now."""

    def __init__(self, found: str, *, retry_after_seconds: float = 1.0, expected: str = "", hint: str = "") -> None:
        super().__init__(found, expected=expected, hint=hint)
        self.retry_after_seconds = retry_after_seconds


class TrainingError(TastemakerError):
    """Training could not go on."""


class DivergenceError(TrainingError):
    """The loss became NaN or exploded."""
