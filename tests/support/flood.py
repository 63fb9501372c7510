"""A program that floods a server with refused, pipelined requests until it is killed."""

from __future__ import annotations

import os
import socket
import sys
import threading

PIPELINED = 20


def flood(port: int, request: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port)) as peer:
        sender = threading.Thread(target=lambda: send(peer, request * PIPELINED), daemon=True)
        sender.start()
        while peer.recv(65536):
            pass


def send(peer: socket.socket, requests: bytes) -> None:
    while True:
        peer.sendall(requests)


if __name__ == "__main__":
    # The flood is to load the server, not to take the processors from it and from its clients.
    os.nice(19)
    port, connections, head = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3].encode()
    request = head + b"\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
    threads = [threading.Thread(target=flood, args=(port, request)) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
