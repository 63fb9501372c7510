from __future__ import annotations

import pytest
from flask import Flask

from bytelog import create_app
from bytelog.api.reader_slots import ReaderSlots, TooManyReaders, slots_of

SHOP, BANK, CLUB = 1, 2, 3


def test_a_project_cannot_take_more_slots_than_there_are() -> None:
    slots = ReaderSlots(2)
    slot = slots.slot(SHOP)
    slot.take()
    slot.take()
    assert slots.in_use == 1
    slots.slot(SHOP).take()
    with pytest.raises(TooManyReaders):
        slots.slot(SHOP).take()
    slot.free()
    slots.slot(SHOP).take()


def test_a_project_without_a_slot_gets_one_although_another_has_taken_all() -> None:
    slots = ReaderSlots(2)
    for _ in range(2):
        slots.slot(SHOP).take()
    slots.slot(BANK).take()
    assert slots.in_use == slots.capacity
    with pytest.raises(TooManyReaders):
        slots.slot(CLUB).take()


def test_half_of_the_slots_are_reserved_for_requests_that_do_not_wait() -> None:
    slots = ReaderSlots(2)
    with slots.slot(SHOP) as slot, slot.wait():
        with slots.slot(SHOP) as other, pytest.raises(TooManyReaders), other.wait():
            pass
        assert slots.in_use == 1
    assert slots.in_use == 0


def test_a_project_can_wait_although_another_has_taken_all_waiting_slots() -> None:
    slots = ReaderSlots(4)
    with (
        slots.slot(SHOP) as first,
        first.wait(),
        slots.slot(SHOP) as second,
        second.wait(),
        slots.slot(BANK) as bank,
        bank.wait(),
    ):
        assert slots.in_use == 3


def test_a_moved_slot_outlives_its_block() -> None:
    slots = ReaderSlots(2)
    with slots.slot(SHOP) as slot:
        slot.take()
        moved = slot.move()
    assert slots.in_use == 1
    moved.free()
    moved.free()
    assert slots.in_use == 0


def test_the_number_of_threads_sets_the_limit_without_replacing_the_slots(app: Flask) -> None:
    slots = slots_of(app)
    slots.set_limit(1)
    slots.slot(SHOP).take()
    with pytest.raises(TooManyReaders):
        slots_of(app).slot(SHOP).take()


def test_every_application_registers_itself_as_its_service(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    app = create_app(instance_path=tmp_path_factory.mktemp("instance"))
    assert app.extensions["bytelog"] is app
