"""A link to a host for ProxyCommand that can be held: python -I held_link.py PORT COUNT [HOLD_AT GATE]

Counts in the file COUNT the bytes that went to the host. After HOLD_AT of them it waits until somebody opens the pipe GATE for
writing, once.
"""

import os
import socket
import sys
import threading

port, count, *hold = sys.argv[1:]
host = socket.create_connection(("127.0.0.1", int(port)))
hold_at = int(hold[0]) if hold else -1
sent = 0


def back() -> None:
    try:
        while data := host.recv(65536):
            os.write(1, data)
    finally:
        os._exit(0)


threading.Thread(target=back, daemon=True).start()
tally = os.open(count, os.O_CREAT | os.O_RDWR)
before = int(os.pread(tally, 20, 0) or b"0")
while data := os.read(0, 65536):
    host.sendall(data)
    sent += len(data)
    os.pwrite(tally, b"%020d" % (before + sent), 0)
    if 0 <= hold_at < sent and not os.path.exists(f"{hold[1]}.opened"):
        open(hold[1]).close()
        open(f"{hold[1]}.opened", "w").close()
