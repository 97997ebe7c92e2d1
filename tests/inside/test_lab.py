"""The lab's runner without walls: what it carries, what it asks, what it watches, and a server that crashes."""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from inside import lab, lab_home, lab_server
from inside.lab_relay import PARKED, Ports, Relay
from inside.session import BoxFailure, Link
from plans.box import Limits
from tests.inside import lab_world

LIMITS = Limits(256, 16, 0, 1, 1, 600, 64, 128, 3)


class Moved:
    """A relay that a thread moves, with a server of the test's own behind it."""

    def __init__(self, folder: Path) -> None:
        self.hub = lab_world.Hub()
        self.porter = lab_world.Porter(folder / "hub", {}, self.hub.port, headed=False)
        self.server = socket.socket()  # holds its port from now on, and listens when a test says so
        self.server.bind(("127.0.0.1", 0))
        self.relay = Relay(
            lab.way_over(Link(str(folder / "hub"))), Ports(0, int(self.server.getsockname()[1]))
        )
        self.hub_port = int(self.relay._door.getsockname()[1])
        self.relay.let_in()
        self.over = False
        self.thread = threading.Thread(target=self._move)
        self.thread.start()

    def _move(self) -> None:
        while not self.over:
            self.relay.step(0.05)

    def serve(self) -> socket.socket:
        self.server.listen()
        return self.server

    def visit(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.porter.port), timeout=120)

    def end(self) -> None:
        self.over = True
        self.thread.join()
        self.relay.close()
        self.server.close()
        self.porter.end()
        self.hub.close()


@pytest.fixture
def moved(tmp_path: Path) -> Iterator[Moved]:
    found = Moved(tmp_path)
    yield found
    found.end()


def eventually(holds: object, within_s: float = 60) -> None:
    until = time.monotonic() + within_s
    while not holds():  # type: ignore[operator]
        assert time.monotonic() < until, "did not come true in time"
        time.sleep(0.01)


def read_all(stream: socket.socket) -> bytes:
    found = b""
    while block := stream.recv(65536):
        found += block
    return found


# --- carrying ---------------------------------------------------------------------------------------------


def test_bytes_go_both_ways_and_the_end_of_one_way_leaves_the_other_open(moved: Moved) -> None:
    said = os.urandom(3_000_000)
    with moved.serve() as door, moved.visit() as visitor:
        sender = threading.Thread(target=lambda: (visitor.sendall(said), visitor.shutdown(socket.SHUT_WR)))
        sender.start()
        server, _ = door.accept()
        with server:
            assert read_all(server) == said
            server.sendall(said[::-1])
        assert read_all(visitor) == said[::-1]
        sender.join()


def test_a_visitor_waits_for_a_server_that_is_starting(moved: Moved) -> None:
    with moved.visit() as visitor:
        visitor.sendall(b"hello")
        time.sleep(0.3)
        with moved.serve() as door:
            server, _ = door.accept()
            with server:
                assert server.recv(5) == b"hello"


def test_a_reader_that_does_not_read_holds_up_its_own_connection_alone(moved: Moved) -> None:
    with moved.serve() as door, moved.visit() as slow:
        server, _ = door.accept()
        server.setblocking(False)
        sent = 0
        with server:
            until = time.monotonic() + 2
            while time.monotonic() < until:
                try:
                    sent += server.send(b"x" * 65536)
                except BlockingIOError:
                    time.sleep(0.01)
            assert sent < 64 * 2**20, "nothing is kept without end for who does not read"
            with moved.visit() as other:
                other.sendall(b"ping")
                second, _ = door.accept()
                with second:
                    assert second.recv(4) == b"ping"
        slow.close()


def test_calls_of_the_server_reach_the_hub(moved: Moved) -> None:
    with socket.create_connection(("127.0.0.1", moved.hub_port), timeout=60) as call:
        call.sendall(b"GET /hub/api HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n\r\n")
        assert b"X-JupyterHub-Version" in read_all(call)


def test_places_are_parked_again_after_each_visitor_and_after_a_porter_that_was_away(moved: Moved) -> None:
    eventually(lambda: moved.porter.parked.qsize() == PARKED)
    with moved.serve() as door:
        visitors = [moved.visit() for _ in range(PARKED + 4)]
        servers = [door.accept()[0] for _ in visitors]
        eventually(lambda: moved.porter.parked.qsize() == PARKED)
        moved.porter.close()
        time.sleep(0.5)
        moved.porter.open()
        eventually(lambda: moved.porter.parked.qsize() == PARKED)
        for each in (*visitors, *servers):
            each.close()


# --- settings ---------------------------------------------------------------------------------------------


def test_settings_are_asked_for_until_somebody_is_there(tmp_path: Path) -> None:
    way = lab.way_over(Link(str(tmp_path / "hub")))
    found: list[dict[str, str]] = []
    asking = threading.Thread(target=lambda: found.append(lab.settings(way, 120)))
    asking.start()
    time.sleep(0.3)
    porter = lab_world.Porter(tmp_path / "hub", {"JUPYTERHUB_USER": "li"}, 1, headed=False)
    asking.join()
    porter.end()
    assert found == [{"JUPYTERHUB_USER": "li"}]


def test_a_lab_to_which_nobody_gives_settings_ends_with_its_own_word(tmp_path: Path) -> None:
    with pytest.raises(BoxFailure, match=lab.NO_SETTINGS):
        lab.settings(lab.way_over(Link(str(tmp_path / "hub"))), 0.1)


def test_of_an_environment_only_what_is_of_labs_is_taken() -> None:
    given = {
        "LD_PRELOAD": "/in/x.so",
        "PATH": "/home",
        "HOME": "/",
        "PYTHONPATH": "/home",
        "DARKROOM_LAB": "1",
    }
    made = {**lab.ground(LIMITS), **lab.environment(given, Path("/home") / "abc", Ports())}
    assert "LD_PRELOAD" not in made and made["DARKROOM_LAB"] == "1"
    assert made["PATH"].startswith("/box/bin:") and made["PYTHONPATH"] == "/box/client:/box"
    assert made["HOME"] == str(Path("/home") / "abc") and made["OMP_NUM_THREADS"] == "3"


def test_the_server_listens_where_the_relay_leads_and_nowhere_else() -> None:
    given = {"JUPYTERHUB_SERVICE_URL": "http://0.0.0.0:1234/user/li/"}
    made = lab.environment(given, Path("/home") / "abc", Ports())
    assert made["JUPYTERHUB_SERVICE_URL"] == "http://127.0.0.1:8888/user/li/"


# --- the home ---------------------------------------------------------------------------------------------


def test_what_has_two_names_counts_once_and_links_lead_nowhere(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "file").write_bytes(b"x" * 1_000_000)
    os.link(tmp_path / "deep" / "file", tmp_path / "again")
    (tmp_path / "out").symlink_to("/usr")
    *_, (count, size) = lab_home.used(str(tmp_path), 1000)
    assert count == 4
    assert 1_000_000 <= size < 1_200_000


def test_a_home_is_full_from_its_quota_on_and_is_told(tmp_path: Path) -> None:
    home, told = tmp_path / "home", tmp_path / "told"
    home.mkdir()
    told.mkdir()
    watch = lab_home.HomeWatch(home, 1, 3, told)
    watch.step(())
    assert not watch.full and '"full": false' in (told / "home.json").read_text()
    for name in "abc":
        (home / name).touch()
    watch._next = 0
    watch.step(())
    assert watch.full and '"full": true' in (told / "home.json").read_text()


def test_a_bound_process_cannot_write_large_files_until_the_bound_is_off(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "for line in sys.stdin:\n"
        "    try:\n"
        "        with open(line.strip(), 'wb', 0) as f: print(f.write(b'x' * 100_000), flush=True)\n"
        "    except OSError as problem: print(problem.strerror, flush=True)\n"
    )
    words = [sys.executable, "-c", code]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None and process.stdout is not None

        def write() -> str:
            process.stdin.write(f"{tmp_path}/bound\n")
            process.stdin.flush()
            return process.stdout.readline().strip()

        assert write() == "100000", "the control"
        lab_home.bound(process.pid, full=True)
        assert write() == str(lab_home.SMALL)
        assert resource.prlimit(process.pid, resource.RLIMIT_FSIZE)[0] == lab_home.SMALL
        lab_home.bound(process.pid, full=False)
        assert write() == "100000"
        process.stdin.close()


# --- the server -------------------------------------------------------------------------------------------

CRASHES = "import os, sys\nos.read(3, 65536)\nprint('last words', flush=True)\nos._exit(7)\n"
STAYS = "import os\nos.read(3, 65536)\nos.write(3, b'R')\nos.read(3, 1)\n"


def server_of(tmp_path: Path, code: str) -> lab_server.Server:
    program = tmp_path / "server.py"
    program.write_text(code)
    return lab_server.Server({"PATH": "/usr/bin"}, tmp_path / "told", str(program))


def test_a_server_that_crashes_is_started_again_a_few_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lab_server, "PAUSES_S", (0.01, 0.01))
    server = server_of(tmp_path, CRASHES)
    server.begin({}, tmp_path)
    for last in (False, False, True):
        eventually(lambda: server.ended() is not None)
        server.keep_log(tmp_path)
        assert server.again() is not last
    assert "last words" in (tmp_path / lab_server.CRASHES).read_text()


def test_the_kept_log_is_written_through_no_link(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("mine")
    (tmp_path / lab_server.CRASHES).symlink_to(target)
    server = server_of(tmp_path, CRASHES)
    server.begin({}, tmp_path)
    eventually(lambda: server.ended() is not None)
    server.keep_log(tmp_path)
    assert target.read_text() == "mine"


def test_a_server_says_when_it_listens(tmp_path: Path) -> None:
    server = server_of(tmp_path, STAYS)
    server.begin({}, tmp_path)
    assert server.listens()
    assert server.ended() is None
    server.control.close()
    eventually(lambda: server.ended() == 0)


@pytest.mark.timeout(120)
def test_a_pipe_in_place_of_a_file_does_not_keep_the_runner_waiting(tmp_path: Path) -> None:
    """Process 1 carries all connections: whoever made it wait would make a lab that neither works nor ends."""
    home, told = tmp_path / "home", tmp_path / "told"
    home.mkdir()
    told.mkdir()
    os.mkfifo(told / "home.json.new")
    lab_home.HomeWatch(home, 1, 3, told).step(())
    server = server_of(tmp_path, CRASHES)
    server.begin({}, tmp_path)
    eventually(lambda: server.ended() is not None)
    log = Path(server._log)
    log.unlink()
    os.mkfifo(log)
    os.mkfifo(home / lab_server.CRASHES)
    server.keep_log(home)
    assert server.again()
