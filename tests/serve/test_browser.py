"""What a browser key is held to."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tastemaker.serve import browser
from tastemaker.serve.problems import Refused

ids = st.text(st.characters(codec="utf-8"), min_size=1, max_size=40)


@given(ids, st.binary(min_size=8, max_size=32))
def test_a_token_stands_for_who_it_was_signed_for(user_id: str, master: bytes) -> None:
    secret = browser.signing_secret(master, "key_1")
    assert browser.verify(secret, browser.sign(secret, user_id, 1000), now=999.9) == user_id
    with pytest.raises(Refused, match="expiry"):
        browser.verify(secret, browser.sign(secret, user_id, 1000), now=1000)
    with pytest.raises(Refused, match="signature"):
        browser.verify(browser.signing_secret(master, "key_2"), browser.sign(secret, user_id, 1000), now=0)


@given(ids, st.text(max_size=80))
def test_a_made_up_token_is_refused(user_id: str, made_up: str) -> None:
    secret = browser.signing_secret(b"master", "key_1")
    claim, _, signature = browser.sign(secret, user_id, 1000).rpartition(".")
    user, _, _ = claim.partition(".")
    for token in (made_up, f"{user}.2000.{signature}", f"{made_up}.1000.{signature}", f"{claim}.", f"{claim}.{made_up}"):
        if token != f"{claim}.{signature}":
            with pytest.raises(Refused) as caught:
                browser.verify(secret, token, now=0)
            assert caught.value.status == 401


def test_every_user_that_a_request_names_is_found() -> None:
    body = SimpleNamespace(
        user_id="b", events=[{"user_id": "c"}, SimpleNamespace(user_id="d"), 7], requests=[SimpleNamespace(user_id="e")]
    )
    named = set(browser.users_of({"user_id": "a"}, SimpleNamespace(user_id="q"), body)) - {None}
    assert named == {"a", "b", "c", "d", "e", "q"}


@pytest.mark.parametrize("named", [["me"], ["anon:7f3a"], [None], []])
def test_a_page_speaks_for_its_user_and_for_visitors(named: list[str | None]) -> None:
    browser.hold_to("me", named)


@pytest.mark.parametrize("named", [["you"], ["me", "you"], [7], [{"user_id": "me"}]])
def test_a_page_speaks_for_nobody_else(named: list[object]) -> None:
    with pytest.raises(Refused) as caught:
        browser.hold_to("me", named)
    assert (caught.value.status, caught.value.code) == (403, "other_user")
