"""A proxy before a database that can be slow, deaf, or gone."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Proxy:
    """Forwards TCP connections to a Unix socket; `port` is where it listens. Modes take effect at once, in open connections too.

    | mode | what happens |
    |---|---|
    | pass | nothing |
    | slow | each piece of an answer comes `delay` seconds late |
    | deaf | what is sent is taken and nothing ever comes back; leaving this mode cuts the connections that lost something |
    | gone | connections are cut, new ones refused |
    """

    def __init__(self, target: Path) -> None:
        self.target, self.mode, self.delay, self.port = target, "pass", 1.0, 0
        self._pairs: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
        self._deafened: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()

    def set(self, mode: str) -> None:
        """Changes the mode."""

        async def change() -> None:
            before, self.mode = self.mode, mode
            for pair in list(self._pairs):
                if mode == "gone" or (before == "deaf" and pair[0] in self._deafened):
                    for side in pair:
                        side.transport.abort()

        asyncio.run_coroutine_threadsafe(change(), self._loop).result(10)

    async def serve(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.mode == "gone":
            writer.transport.abort()
            return
        try:
            up_reader, up_writer = await asyncio.open_unix_connection(str(self.target))
        except OSError:
            writer.transport.abort()
            return
        pair = (writer, up_writer)
        self._pairs.add(pair)
        tasks = [
            asyncio.ensure_future(self._pump(reader, up_writer, writer)),
            asyncio.ensure_future(self._pump(up_reader, writer, writer)),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._pairs.discard(pair)
            self._deafened.discard(writer)
            for task in tasks:
                task.cancel()
            for side in pair:
                side.close()

    async def _pump(self, source: asyncio.StreamReader, target: asyncio.StreamWriter, client: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.CancelledError):
            while piece := await source.read(65536):
                if self.mode == "slow" and target is client:
                    await asyncio.sleep(self.delay)
                if self.mode == "deaf":
                    self._deafened.add(client)
                    continue
                target.write(piece)
                await target.drain()

    @contextmanager
    def running(self) -> Iterator[Proxy]:
        """Runs in a thread of its own."""
        self._loop.run_until_complete(self.serve())
        thread = threading.Thread(target=self._loop.run_forever)
        thread.start()
        try:
            yield self
        finally:
            self.set("gone")
            asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join(10)
            self._loop.close()

    async def _end(self) -> None:
        self._server.close()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
