from __future__ import annotations

import socket
import threading
import time

from tastemaker.store.silence import Silence


def test_who_waits_for_a_silent_server_is_let_go_and_others_are_left_alone():
    silence = Silence()
    ours, theirs = socket.socketpair()
    other, answering = socket.socketpair()
    with ours, theirs, other, answering:
        began = time.monotonic()
        with silence.cut(other.fileno(), 0.01):
            pass
        with silence.cut(ours.fileno(), 0.3):
            assert ours.recv(1) == b""
        assert 0.25 < time.monotonic() - began < 10
        answering.sendall(b"x")
        assert other.recv(1) == b"x"
    silence.close()
    assert "tastemaker-silence" not in [thread.name for thread in threading.enumerate()]
