"""Where the work of the state machine is done: threads and asyncio tasks that each do one thing at a time when told."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any

from taskmeter import carry

Job = tuple[Callable[[], Any], "Future[Any]"]


class Here:
    """The thread of the test itself."""

    asynchronous = False

    def do(self, work: Callable[[], Any]) -> Any:
        return work()

    def end(self) -> None:
        """It goes on."""


class Thread:
    """A thread, carried into the task of the lane that starts it."""

    asynchronous = False

    def __init__(self) -> None:
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._thread = threading.Thread(target=carry(self._run), daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            work, done = job
            try:
                done.set_result(work())
            except BaseException as error:
                done.set_exception(error)

    def do(self, work: Callable[[], Any]) -> Any:
        done: Future[Any] = Future()
        self._jobs.put((work, done))
        return done.result(30)

    def end(self) -> None:
        self._jobs.put(None)
        self._thread.join()


class Loop:
    """One event loop for all asyncio lanes, in a thread of its own."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(30)

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


class AsyncioTask:
    """An asyncio task. Started by another it inherits that one's context; started by a thread it is carried."""

    asynchronous = True

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._jobs: asyncio.Queue[Job | None] = asyncio.Queue()
        if threading.current_thread() is loop._thread:
            self._task = asyncio.get_running_loop().create_task(self._run())
        else:
            self._task = loop.run(self._started(carry(self._run)))

    async def _started(self, run: Callable[[], Any]) -> asyncio.Task[None]:
        return asyncio.get_running_loop().create_task(run())

    async def _run(self) -> None:
        while (job := await self._jobs.get()) is not None:
            work, done = job
            try:
                result = work()
                done.set_result(await result if inspect.isawaitable(result) else result)
            except BaseException as error:
                done.set_exception(error)

    def do(self, work: Callable[[], Any]) -> Any:
        done: Future[Any] = Future()
        self._loop.loop.call_soon_threadsafe(self._jobs.put_nowait, (work, done))
        return done.result(30)

    def end(self) -> None:
        self._loop.loop.call_soon_threadsafe(self._jobs.put_nowait, None)
        self._loop.run(self._over())

    async def _over(self) -> None:
        await self._task
