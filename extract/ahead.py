"""Work done ahead of who waits for it, in a thread of its own."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
_END = object()


def ahead(values: Iterable[T], most: int) -> Iterator[T]:
    """The same values in the same order, of which up to `most` are made before they are asked for.

    An error comes where its value would have come. Who stops asking stops the making, too, at its next value.
    """
    waiting: queue.Queue = queue.Queue(most)
    stopped = threading.Event()

    def make() -> None:
        error: BaseException | None = None
        try:
            for value in values:
                waiting.put((value, None))
                if stopped.is_set():
                    return
        except BaseException as caught:  # it is raised in the other thread
            error = caught
        waiting.put((_END, error))

    thread = threading.Thread(target=make, daemon=True)
    thread.start()
    try:
        while True:
            value, error = waiting.get()
            if error is not None:
                raise error
            if value is _END:
                return
            yield value
    finally:
        stopped.set()
        while thread.is_alive():  # it may wait for room
            try:
                waiting.get(timeout=0.05)
            except queue.Empty:
                continue
