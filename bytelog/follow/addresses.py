"""Connections to receivers: only to public addresses, unless private ones are allowed.

A name may resolve to another address each time (DNS rebinding). So the addresses are checked for
each connection, and the connection goes to one of those that were checked.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

TRANSLATED = tuple(map(IPv6Network, ("64:ff9b::/96", "::/96", "::ffff:0:0:0/96")))
"""Networks whose addresses end with an IPv4 address that may be connected to.

(RFC 6052, 4291 and 2765)
"""

LOCAL = tuple(
    map(
        ip_network,
        ("192.0.0.0/24", "64:ff9b:1::/48", "fec0::/10", "3fff::/20", "5f00::/16"),
    )
)
"""Networks that some versions of Python take for public ones (RFC 6890, 8215, 3879, 9637, 9602)."""


class PrivateAddress(Exception):
    """A host has only private addresses; the message says which host."""


def connect(host: str, port: int, deadline: float, *, allows_private: bool) -> socket.socket:
    """Return a connection to a host; raises PrivateAddress and OSError.

    `deadline` is a time of `time.monotonic`.
    """
    failure: OSError = TimeoutError(f"{host} has no address")
    for family, address in resolve(host, port, allows_private=allows_private):
        connection = socket.socket(family, socket.SOCK_STREAM)
        try:
            connection.settimeout(max(deadline - time.monotonic(), 0.001))
            connection.connect(address)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return connection
        except OSError as error:
            connection.close()
            failure = error
    raise failure


def resolve(host: str, port: int, *, allows_private: bool) -> list[tuple[int, Any]]:
    """Return the addresses of a host to which a connection may go, each after its family.

    Raises PrivateAddress if there are only others, and OSError.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses: list[tuple[int, Any]] = [(family, address) for family, *_, address in found]
    allowed = [
        (family, address)
        for family, address in addresses
        if allows_private or is_public(str(address[0]))
    ]
    if addresses and not allowed:
        raise PrivateAddress(
            f"{host} is at the private address {addresses[0][1][0]}. If the receiver is in your "
            "own network, use --allow-private."
        )
    return allowed


def is_public(address: str) -> bool:
    """Return whether an address is on the public Internet, whatever contains it."""
    whole = ip_address(address.partition("%")[0])
    return all(
        part.is_global and not part.is_multicast and not any(part in network for network in LOCAL)
        for part in _unwrap(whole)
    )


def _unwrap(address: IPv4Address | IPv6Address) -> Iterator[IPv4Address | IPv6Address]:
    """Yield an address, or the IPv4 addresses that it contains and a gateway would connect to."""
    if isinstance(address, IPv4Address):
        yield address
        return
    if address.ipv4_mapped:
        yield address.ipv4_mapped
        return
    yield address
    if address.sixtofour:
        yield address.sixtofour
    if address.teredo:
        yield from address.teredo
    if any(address in network for network in TRANSLATED):
        yield IPv4Address(int(address) & 0xFFFFFFFF)
