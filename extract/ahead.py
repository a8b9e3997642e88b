"""Work done ahead of who waits for it, in a thread of its own."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

T = TypeVar("T")
_END = object()


def ahead(make: Callable[[threading.Event], Iterator[T]], most: int) -> Iterator[T]:
    """The values of an iterator in their order, of which up to `most` are made before they are asked for.

    An error comes where its value would have come. Who stops asking stops the making, too.

    Args:
        make: gives the iterator. It is told of an event that is set when nobody asks any more: it need not go on then.
    """
    waiting: queue.Queue = queue.Queue(most)
    stopped = threading.Event()

    def put(value: object, error: BaseException | None) -> None:
        while not stopped.is_set():
            try:
                return waiting.put((value, error), timeout=0.1)
            except queue.Full:
                continue

    def work() -> None:
        error: BaseException | None = None
        try:
            values = make(stopped)
            try:
                for value in values:
                    put(value, None)
                    if stopped.is_set():
                        break
            finally:
                values.close()  # here, where its children are
        except BaseException as caught:  # it is raised in the other thread
            error = caught
        put(_END, error)

    thread = threading.Thread(target=work, daemon=True)
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
        if threading.current_thread() is not thread:  # as when the garbage collector runs there
            thread.join()
