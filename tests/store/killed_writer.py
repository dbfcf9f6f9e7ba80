"""Writes from four threads until it is killed, then again: python killed_writer.py URL LEDGER TIMES.

The ledger gets a line for each batch after the store acknowledged it. A batch that was not acknowledged is sent again by the next process.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import threading
import time

from tastemaker.store import open_store
from tastemaker.store.base import Event

THREADS, SIZE = 4, 10


def write(url: str, ledger: int, starts: list[int]) -> None:
    store = open_store(url)

    def one(thread: int) -> None:
        number = starts[thread]
        while True:
            names = [f"{thread}-{number}-{place}" for place in range(SIZE)]
            events = [
                Event(f"u{number % 7}", f"i{place}", 1_700_000_000_000_000 + number, event_id=name)
                for place, name in enumerate(names)
            ]
            store.add_events(events)
            os.write(ledger, (json.dumps(names) + "\n").encode())
            number += 1

    for thread in range(THREADS):
        threading.Thread(target=one, args=(thread,)).start()


def main() -> None:
    url, path, times = sys.argv[1], sys.argv[2], int(sys.argv[3])
    draw = random.Random(times)
    open_store(url).close()
    ledger = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for _ in range(times):
        starts = [0] * THREADS
        with open(path) as lines:
            for line in lines:
                thread, number, _place = json.loads(line)[0].split("-")
                starts[int(thread)] = max(starts[int(thread)], int(number) + 1)
        before = os.fstat(ledger).st_size
        child = os.fork()
        if child == 0:
            write(url, ledger, starts)
            signal.pause()
        while os.fstat(ledger).st_size < before + 2000:  # it is under way
            time.sleep(0.01)
        time.sleep(draw.random() * 0.3)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


if __name__ == "__main__":
    main()
