"""Ctrl-C: pages that are being made are finished, streams end, nothing is said and nothing is cut."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import closing
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from config import PROJECT_FOLDER

PATIENCE_SECONDS = 120.0
READERS = 4


def test_a_stop_during_page_loads_cuts_no_page_and_shows_no_traceback(log_folder: Path, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    command = [sys.executable, "-m", "dashboard", str(log_folder), "--data-dir", str(tmp_path), "--port", str(port)]
    process = subprocess.Popen(command, cwd=PROJECT_FOLDER, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        wait_for(port)
        answers: list[tuple[int, bool]] = []
        with closing(HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)) as stream:
            stream.request("GET", "/events")
            readers = [threading.Thread(target=load_until_refused, args=(port, answers)) for _ in range(READERS)]
            for reader in readers:
                reader.start()
            while len(answers) < READERS:
                time.sleep(0.02)
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=PATIENCE_SECONDS)
            for reader in readers:
                reader.join(timeout=PATIENCE_SECONDS)
    finally:
        process.kill()
    assert said.decode() == ""
    assert process.returncode == 0
    assert set(answers) == {(200, True)}


def wait_for(port: int) -> None:
    ends_at = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < ends_at:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError("it never listened")


def load_until_refused(port: int, answers: list[tuple[int, bool]]) -> None:
    """Page after page; of each its status, and whether it came whole."""
    while True:
        connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
        try:
            connection.request("GET", "/")
        except OSError:
            return
        try:
            answer = connection.getresponse()
            answers.append((answer.status, answer.read().rstrip().endswith(b"</html>")))
        except (ConnectionResetError, HTTPException):
            return  # it was connected before the stop, and asked after it
        finally:
            connection.close()
