"""A command `latte` for shells whose processes start as copies of one that has imported torch.

Importing torch takes longer than most commands of a page. The command is a small client: it sends
its arguments, folder, environment and streams to a server, which forks a process for them.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CLIENT = """\
#!{python} -IS
import json, os, socket, sys

with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    call = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode() + b"\\n"
    socket.send_fds(server, [call[:1]], [0, 1, 2])
    server.sendall(call[1:])
    code = server.recv(9)
sys.exit(int(code or 70))
"""


@contextmanager
def warm_latte(folder: Path) -> Iterator[Path]:
    """Write the command `latte` into `folder` and serve it; yields `folder`, for the PATH."""
    folder.mkdir()
    address, client = str(folder / "socket"), folder / "latte"
    client.write_text(CLIENT.format(python=sys.executable, address=address))
    client.chmod(0o755)
    command = [sys.executable, "-m", "tests.helpers.warm_latte", address]
    with subprocess.Popen(command, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE) as server:
        try:
            assert server.stdout is not None and server.stdout.readline() == b"ready\n"
            yield folder
        finally:
            server.terminate()


def serve(address: str) -> None:
    """Fork a process for each command that a client sends to the socket `address`."""
    import latte.cli.main
    import latte.run.runner  # noqa: F401  # with torch and open_clip

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # ended processes leave nothing to wait for
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while True:
            client, _ = listener.accept()
            with client:
                if os.fork() == 0:
                    _run(client)


def _run(client: socket.socket) -> None:
    """Run the command of a client in this process, send its exit code, and end."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    first, streams, _, _ = socket.recv_fds(client, 1, 3)
    with client.makefile("rb") as rest:
        arguments, folder, environment = json.loads(first + rest.readline())
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["latte", *arguments]
    code = _exit_code()
    sys.stdout.flush()
    sys.stderr.flush()
    client.sendall(str(code).encode())
    os._exit(code)


def _exit_code() -> int:
    from latte.__main__ import main

    try:
        main()
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
        return 1
    return 0


if __name__ == "__main__":
    serve(sys.argv[1])
