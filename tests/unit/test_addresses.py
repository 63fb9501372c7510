from __future__ import annotations

import pytest

from bytelog.follow.addresses import is_public


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.0.0.1",
        "100.64.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "192.168.0.1",
        "198.18.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::10.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
        "64:ff9b:1::1",
        "::ffff:0:a00:1",
        "192.0.0.8",
        "::ffff:192.0.0.8",
        "3fff::1",
        "5f00::1",
        "2002:a00:1::1",
        "2001:0:5db8:d822::f5ff:fffe",
        "fc00::1",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
    ],
)
def test_a_private_address_is_recognized(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "93.184.216.34",
        "2606:4700::1111",
        "::ffff:93.184.216.34",
        "64:ff9b::5db8:d822",
        "::ffff:0:5db8:d822",
    ],
)
def test_a_public_address_is_recognized(address: str) -> None:
    assert is_public(address)
