"""What is made ahead comes in order, with its errors; who stops asking stops the making, from whatever thread."""

import gc
import threading
import time

import pytest

from videocap.extract.ahead import ahead


def numbers(count, made, closed=None):
    def make(stopped):
        try:
            for number in range(count):
                made.append(number)
                yield number
        finally:
            if closed is not None:
                closed.append(threading.current_thread())

    return make


def test_values_come_in_order_and_no_more_ahead_than_is_allowed():
    made = []
    values = ahead(numbers(50, made), 3)
    assert next(values) == 0
    time.sleep(0.3)
    assert len(made) <= 6, "one is asked for, three wait, one is held, one may be on its way"
    assert list(values) == list(range(1, 50))


def test_an_error_comes_in_its_place():
    def make(stopped):
        yield 1
        raise OSError("no more")

    values = ahead(make, 5)
    assert next(values) == 1
    with pytest.raises(OSError, match="no more"):
        next(values)


def test_who_stops_asking_stops_the_making_in_its_thread_and_is_not_kept():
    made, closed = [], []
    values = ahead(numbers(10**9, made, closed), 2)
    next(values)
    started = time.monotonic()
    values.close()
    assert time.monotonic() - started < 1
    assert closed[0] is not threading.current_thread()
    count = len(made)
    time.sleep(0.1)
    assert len(made) == count


def test_one_that_goes_through_many_things_without_a_value_is_told_that_nobody_asks():
    told = threading.Event()

    def make(stopped):
        yield 0
        while not stopped.is_set():
            time.sleep(0.01)
        told.set()

    values = ahead(make, 1)
    next(values)
    values.close()
    assert told.wait(1)


def test_the_garbage_collector_may_close_it_in_the_making_thread():
    ended = threading.Event()

    def make(stopped):
        try:
            yield 0
            while not stopped.is_set():
                gc.collect()  # here, where the forgotten one is found
                time.sleep(0.01)
        finally:
            ended.set()

    class Loop:
        pass

    loop = Loop()
    loop.values = ahead(make, 1)
    loop.itself = loop
    next(loop.values)
    gc.disable()
    try:
        del loop
        assert ended.wait(5)
    finally:
        gc.enable()
