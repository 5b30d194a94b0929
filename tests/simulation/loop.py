"""Virtual time: one schedule of everything that happens, and an event loop for each simulated process on it.

A :class:`Universe` runs one callback at a time. When nothing is ready it jumps to the next timer, so an hour costs
what its callbacks cost. Each simulated process has a :class:`ProcessLoop`, an asyncio event loop that has no selector
and no thread; killing the process drops all that the loop still had to run, as the kernel would. Processes share
nothing but the schedule, and speak through :mod:`tests.simulation.network`.

What asyncio promises is kept: callbacks of ``call_soon`` run in the order in which they were asked for. What it does
not promise is drawn from the seed: which of several timers of one deadline goes first, and how long a thread takes.
"""

import asyncio
import contextlib
import functools
import heapq
import math
import random
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context, copy_context
from typing import Any, TypeVar, TypeVarTuple, Unpack

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

START_MS = 1_750_000_000_000
STUCK_STEPS = 100_000  # callbacks without any time passing: something runs in a circle


class Stuck(Exception):
    """The simulated processes run in a circle: callback after callback, and no time passes."""


class Universe:
    """The schedule. ``steps`` counts the callbacks that ran; ``after_step`` is called after each, with its loop."""

    def __init__(self, rng: random.Random) -> None:
        self.now = 0.0  # seconds since the beginning
        self.steps = 0
        self.after_step: Callable[[ProcessLoop], None] = lambda _loop: None
        self._rng = rng
        self._ready: deque[_Call] = deque()
        self._timers: list[tuple[float, float, int, _Call]] = []
        self._order = 0
        self._steps_at_now = 0

    def soon(self, call: "_Call") -> None:
        self._ready.append(call)

    def at(self, when: float, call: "_Call") -> None:
        self._order += 1
        # Whole microseconds, so that deadlines which mean the same moment are the same, and their order is drawn;
        # rounded up, so that nobody wakes before its time.
        heapq.heappush(self._timers, (math.ceil(when * 1e6) / 1e6, self._rng.random(), self._order, call))

    def run_until(self, done: Callable[[], bool], deadline: float) -> bool:
        """Run callbacks until ``done`` says so or virtual time reaches ``deadline``; return whether it was ``done``.

        Raises:
            Stuck: Nothing waits for time any more, yet it does not end.
        """
        while not done():
            if not self._ready and not self._pass_time(deadline):
                return False
            self._step()
        return True

    def _pass_time(self, deadline: float) -> bool:
        if not self._timers or self._timers[0][0] > deadline:
            self.now = max(self.now, deadline)
            return False
        if self._timers[0][0] > self.now:
            self.now = self._timers[0][0]
            self._steps_at_now = 0
        while self._timers and self._timers[0][0] <= self.now:
            self._ready.append(heapq.heappop(self._timers)[3])
        return True

    def _step(self) -> None:
        call = self._ready.popleft()
        loop = call.loop
        if call.dropped or loop.dead:
            return
        self.steps += 1
        self._steps_at_now += 1
        if self._steps_at_now > STUCK_STEPS:
            raise Stuck(f"{STUCK_STEPS} callbacks at {self.now} s, the last: {call!r}")
        events._set_running_loop(loop)
        try:
            call.context.run(call.task, *call.arguments)
        except Exception as error:  # noqa: BLE001  # as every event loop
            loop.call_exception_handler({"message": f"{call!r} failed", "exception": error})
        finally:
            events._set_running_loop(None)
        self.after_step(loop)


class _Call(asyncio.TimerHandle):
    """A callback on the schedule; fits what asyncio wants back from ``call_soon`` and ``call_at``.

    None of asyncio's own fields but those that it reads itself: a run makes some thousand of these.
    """

    __slots__ = ("arguments", "context", "dropped", "loop", "task")

    def __init__(
        self,
        callback: Callable[..., object],
        arguments: tuple[Any, ...],
        loop: "ProcessLoop",
        context: Context | None,
    ) -> None:
        self.task = callback
        self.arguments = arguments
        self.loop = loop
        self.context = copy_context() if context is None else context
        self.dropped = False

    def cancel(self) -> None:
        self.dropped = True

    def cancelled(self) -> bool:
        return self.dropped

    def __repr__(self) -> str:
        return f"<{self.task!r} of {self.loop.name}>"


class _Task(asyncio.Task[Any]):
    """Hashes by number, not by address: sets of tasks are then walked in the same order in every run."""

    def __init__(self, coro: Coroutine[Any, Any, Any], *, loop: "ProcessLoop", **options: Any) -> None:
        self._number = loop.next_number()
        super().__init__(coro, loop=loop, **options)

    def __hash__(self) -> int:
        return self._number


class ProcessLoop(asyncio.AbstractEventLoop):
    """One process as asyncio sees it. ``waited_s`` returns how long the disk made the last call in a thread wait."""

    def __init__(
        self, universe: Universe, name: str, rng: random.Random, waited_s: Callable[[], float]
    ) -> None:
        self.name = name
        self.dead = False
        self.errors: list[dict[str, Any]] = []
        self._universe = universe
        self._rng = rng
        self._waited_s = waited_s
        self._tasks: list[_Task] = []
        self._numbers = 0
        self._threads: dict[int, deque[Callable[[], None]]] = {}

    def next_number(self) -> int:
        self._numbers += 1
        return self._numbers

    @contextlib.contextmanager
    def running(self) -> Generator[None, None, None]:
        """Be the running loop for as long as the context lasts."""
        before = events._get_running_loop()
        events._set_running_loop(self)
        try:
            yield
        finally:
            events._set_running_loop(before)

    def spawn(self, coro: Coroutine[Any, Any, T], name: str) -> "asyncio.Task[T]":
        """Start a task from outside the loop."""
        with self.running():
            return self.create_task(coro, name=name)

    def kill(self) -> None:
        """Stop for ever, as SIGKILL does: nothing of this loop runs again, no ``finally`` has any effect outside."""
        self.dead = True
        with self.running():
            for task in self._tasks:
                _discard(task)
        self._tasks.clear()

    # ------------------------------------------------------------------ what asyncio asks of a loop

    def time(self) -> float:
        return self._universe.now

    def call_soon(
        self, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        call = _Call(callback, args, self, context)
        if not self.dead:
            self._universe.soon(call)
        return call

    call_soon_threadsafe = call_soon

    def call_later(
        self,
        delay: float,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        return self.call_at(self._universe.now + delay, callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        call = _Call(callback, args, self, context)
        if not self.dead:
            self._universe.at(when, call)
        return call

    def create_future(self) -> "asyncio.Future[Any]":
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, **options: Any) -> "asyncio.Task[Any]":
        task = _Task(coro, loop=self, **options)
        self._tasks.append(task)
        if len(self._tasks) > 512:
            self._tasks = [task for task in self._tasks if not task.done()]
        return task

    def run_in_executor(
        self, executor: Any, func: Callable[[Unpack[Ts]], T], *args: *Ts
    ) -> "asyncio.Future[T]":
        """Run ``func`` here, at a time at which a thread might: calls of one executor in order, each taking its time."""
        future: asyncio.Future[T] = self.create_future()
        waiting = self._threads.setdefault(id(executor), deque())
        waiting.append(lambda: self._in_thread(waiting, future, lambda: func(*args)))
        if len(waiting) == 1:
            waiting[0]()
        return future

    def _in_thread(
        self, waiting: "deque[Callable[[], None]]", future: "asyncio.Future[T]", work: Callable[[], T]
    ) -> None:
        def run() -> None:
            try:
                result = work()
            except Exception as error:  # noqa: BLE001  # as every executor
                self.call_later(0.001 + self._waited_s(), end, functools.partial(future.set_exception, error))
            else:
                self.call_later(0.001 + self._waited_s(), end, lambda: future.set_result(result))

        def end(tell: Callable[[], None]) -> None:
            if not future.done():  # whoever asked may have been cancelled
                tell()
            waiting.popleft()
            if waiting:
                waiting[0]()

        self.call_later(self._rng.uniform(0.0001, 0.002), run)

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return not self.dead

    def is_closed(self) -> bool:
        return self.dead

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if not self.dead:  # a dead process says nothing of what it leaves undone
            self.errors.append(context)


def _discard(task: "asyncio.Task[Any]") -> None:
    """Close a task's coroutine for good, however often it awaits in its ``finally`` clauses."""
    coro = task.get_coro()
    if task.done() or coro is None:
        return
    for _ in range(20):
        try:
            coro.close()
        except RuntimeError:
            continue  # it ignored GeneratorExit by waiting once more
        except BaseException:  # noqa: BLE001  # whatever it raises now has no effect outside
            return
        return


def new_loop(
    universe: Universe, name: str, rng: random.Random, waited_s: Callable[[], float] = lambda: 0.0
) -> ProcessLoop:
    """Return the loop of a new process."""
    return ProcessLoop(universe, name, rng, waited_s)  # type: ignore[abstract]  # no sockets, signals or pipes here


class SimulatedClock:
    """Fits :class:`frontrow.core.ports.Clock` on virtual time. ``wall_offset_ms`` is what a clock step changes."""

    def __init__(self, universe: Universe) -> None:
        self._universe = universe
        self.wall_offset_ms = 0

    def now(self) -> int:
        return START_MS + self.wall_offset_ms + int(self._universe.now * 1000.0)

    def monotonic(self) -> float:
        return 1_000.0 + self._universe.now

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
