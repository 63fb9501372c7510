from __future__ import annotations

import pytest
from flask import Flask

from bytelog import create_app
from bytelog.api.reader_slots import ReaderSlots, TooManyReaders, slots_of


def test_no_more_slots_are_taken_than_there_are() -> None:
    slots = ReaderSlots(2)
    slot = slots.acquire()
    slots.acquire()
    assert slots.is_full()
    with pytest.raises(TooManyReaders):
        slots.acquire()
    slot.close()
    assert slots.in_use == 1


def test_half_of_the_slots_are_left_to_requests_that_do_not_wait() -> None:
    slots = ReaderSlots(2)
    with slots.acquire_waiting():
        with pytest.raises(TooManyReaders), slots.acquire_waiting():
            pass
        assert slots.in_use == 1
    assert slots.in_use == 0


def test_the_limit_is_set_without_replacing_the_slots(app: Flask) -> None:
    slot = slots_of(app).acquire()
    slots_of(app).limit = 1
    assert slots_of(app).is_full()
    slot.close()
    assert not slots_of(app).is_full()


def test_every_application_is_its_own_service(tmp_path_factory: pytest.TempPathFactory) -> None:
    app = create_app(instance_path=tmp_path_factory.mktemp("instance"))
    assert app.extensions["bytelog"] is app
