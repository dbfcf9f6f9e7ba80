"""Settings of language models: section `[language]`."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from tastemaker.settings import Settings


class LanguageSettings(Settings):
    """Which language model there is, and how much of time and money it may take."""

    kind: Literal["off", "endpoint", "local", "encoder"] = Field(
        "off",
        description="endpoint: a chat model behind an OpenAI-compatible address; local: a generation model in a folder; "
        "encoder: a sentence encoder, which orders by cosine and writes nothing",
    )
    url: str = Field("", description="of kind endpoint: the base of its addresses, such as http://127.0.0.1:11434/v1")
    model: str = Field(
        "",
        description="of kind endpoint: the model's name there; of local: a folder of transformers; of encoder: a folder, or the packaged "
        "MiniLM where it is empty",
    )
    key_variable: str = Field(
        "TASTEMAKER_LANGUAGE_KEY",
        description="of kind endpoint: the environment variable that holds the key; without a value none is sent",
    )
    extra: dict[str, Any] = Field(
        {}, description='of kind endpoint: more fields of each request, such as { reasoning_effort = "low" }'
    )
    token_field: Literal["max_tokens", "max_completion_tokens"] = Field(
        "max_tokens", description="of kind endpoint: what it calls the most tokens of a reply"
    )
    columns: tuple[str, ...] = Field(
        (),
        description="item properties that describe an item, the first one as its title; empty: title or name, then categories",
    )
    candidates: int = Field(20, ge=2, le=50, description="best items whose order is asked for")
    history: int = Field(15, ge=1, le=100, description="newest items of a user that are told")
    title_chars: int = Field(120, ge=10, le=500, description="of an item's description; the rest is cut off")
    weight: float = Field(
        1.0, gt=0, le=1, description="of the language model's places against those of the pipeline, which have the rest"
    )
    budget_ms: float = Field(800.0, gt=0, description="time an answer waits for an order or for reasons; then it does without")
    text_budget_ms: float = Field(5000.0, gt=0, description="time a summary or tags are waited for")
    call_seconds: float = Field(
        10.0, gt=0, le=120, description="time of a call; what comes after its answer has gone is held for the next one"
    )
    max_tokens: int = Field(400, ge=16, le=4096, description="of a reply")
    calls_per_minute: int = Field(60, ge=1, description="calls at most")
    calls_per_day: int = Field(10_000, ge=1, description="calls at most")
    in_flight: int = Field(4, ge=1, le=64, description="calls at a time; whoever comes beyond does without")
    pause_seconds: float = Field(5.0, ge=0, description="how long a model that failed is left alone, unless it says so itself")
    held: int = Field(10_000, ge=0, description="replies held in memory")
    held_seconds: float = Field(86_400.0, gt=0, description="how long")
    input_price: float = Field(0.0, ge=0, description="of a million tokens read, for the report")
    output_price: float = Field(0.0, ge=0, description="of a million tokens written")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        needed = {"endpoint": ("url", "model"), "local": ("model",)}.get(self.kind, ())
        for name in needed:
            if not getattr(self, name):
                raise ValueError(f"A value for {name}, which kind = {self.kind!r} needs")
        if self.kind != "endpoint":
            for name in ("url", "extra"):
                if getattr(self, name):
                    raise ValueError(f"No {name}, which is of kind = 'endpoint' alone")
        return self
