"""What the service tells of itself holds no secret."""

import pytest

from tastemaker.recommend.language.settings import LanguageSettings
from tastemaker.serve import machine


@pytest.mark.parametrize("login", ["name:pass-word@", "pass-word@", "name:p@ss-word@"])
def test_a_login_within_an_address_is_not_told(login):
    told = machine.shown(
        LanguageSettings(kind="endpoint", url=f"https://{login}llm.example/v1", model="m").model_dump(mode="json")
    )
    assert told["url"] == "https://…@llm.example/v1"


def test_an_address_without_a_login_is_told_whole():
    assert machine.shown({"url": "http://127.0.0.1:11434/v1?a=b@c", "held": 3}) == {
        "url": "http://127.0.0.1:11434/v1?a=b@c",
        "held": 3,
    }
