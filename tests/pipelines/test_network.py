"""A build on one machine opens no port, whatever the number of workers."""

import contextlib
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import time

import pytest

from tfmusic.pipelines.running import beam_options

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads Linux' /proc")
LISTENS = "0A"  # the state of a TCP socket in /proc/net/tcp
ACCEPTS = 0x10000  # the flag of a Unix socket that listens, in /proc/net/unix


def descendants(pid):
    """A process and those that it started."""
    children = {}
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        children.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found = [pid]
    for parent in found:
        found += children.get(parent, [])
    return found


def sockets_of(pids):
    """The inodes of the sockets that processes hold."""
    inodes = set()
    for pid in pids:
        for file in pathlib.Path(f"/proc/{pid}/fd").glob("*"):
            with contextlib.suppress(OSError):  # it is closed by now
                target = os.readlink(file)
                if target.startswith("socket:["):
                    inodes.add(target[8:-1])
    return inodes


def listening(pids):
    """What processes listen on: TCP addresses, and Unix sockets with a name."""
    inodes = sockets_of(pids)
    found = []
    for table in ("tcp", "tcp6"):
        for line in pathlib.Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == LISTENS and fields[9] in inodes:
                found.append(f"{table} {fields[1]}")
    for line in pathlib.Path("/proc/net/unix").read_text().splitlines()[1:]:
        fields = line.split()
        if int(fields[3], 16) & ACCEPTS and fields[6] in inodes:
            found.append(f"unix {fields[7:]}")
    return found


def start(*arguments):
    return subprocess.Popen(
        [sys.executable, "-m", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def build_arguments(config, music, output_dir, num_workers):
    return (
        "pipelines.build_tfrecords",
        f"--config={config}",
        f"--source={music}",
        f"--output_dir={output_dir}",
        f"--num_workers={num_workers}",
    )


def watch(process, look):
    """Looks at a process until it ends; gives what was seen and how many there were."""
    seen, most = set(), 0
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        pids = descendants(process.pid)
        most = max(most, len(pids))
        seen |= set(look(pids))
        time.sleep(0.01)
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    return seen, most


@linux
def test_listening_sockets_are_seen():
    with socket.socket() as tcp, socket.socket(socket.AF_UNIX) as unix:
        tcp.bind(("127.0.0.1", 0))
        tcp.listen()
        port = tcp.getsockname()[1]
        unix.bind("\0tfmusic_test")
        unix.listen()
        found = listening([os.getpid()])
    assert f"tcp 0100007F:{port:04X}" in found
    assert any("tfmusic_test" in name for name in found)


@linux
@pytest.mark.parametrize(
    ("num_workers", "flags"),
    [
        (2, ["--runner=DirectRunner"]),  # Beam's own choice
        *(pytest.param(n, [], marks=pytest.mark.slow) for n in (1, 2, 4)),
    ],
)
def test_build_listens_to_nobody(config, music, tmp_path, num_workers, flags):
    arguments = build_arguments(config, music, tmp_path / "data", num_workers)
    process = start(*arguments, *flags)
    seen, num_processes = watch(process, listening)
    assert not seen
    assert num_processes > 1  # children did the work


SCAN = """
import socket
for port in range(1, 65536):
    with socket.socket() as probe:
        probe.settimeout(0.5)
        if probe.connect_ex(("10.203.7.1", port)) == 0:
            print(port)
"""


@pytest.fixture
def hosts():
    """Two network namespaces, joined by a wire: the first has the address 10.203.7.1.

    Gives a function that starts a Python program in one of them.
    """
    if os.geteuid() or not shutil.which("ip"):
        pytest.skip("network namespaces need root and iproute2")
    names = [f"tfmusic{os.getpid()}{letter}" for letter in "ab"]

    def start_in(number, *arguments):
        return subprocess.Popen(
            ["ip", "netns", "exec", names[number], sys.executable, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def ip(words):
        subprocess.run(["ip", *words.split()], check=True, capture_output=True)

    try:
        for name in names:
            ip(f"netns add {name}")
        ip(f"-n {names[0]} link add wire type veth peer name wire netns {names[1]}")
        for i, name in enumerate(names, 1):
            ip(f"-n {name} addr add 10.203.7.{i}/24 dev wire")
            ip(f"-n {name} link set wire up")
            ip(f"-n {name} link set lo up")
        yield start_in
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], check=False)


@linux
@pytest.mark.slow
def test_no_port_opens_to_another_host(config, tmp_path, hosts):
    def open_ports():
        with hosts(1, "-c", SCAN) as scan:
            return scan.communicate()[0].split()

    code = "import socket, time; s = socket.create_server(('', 7)); time.sleep(99)"
    with hosts(0, "-c", code) as server:  # the scan finds what is open
        deadline = time.monotonic() + 30
        while open_ports() != ["7"] and time.monotonic() < deadline:
            pass
        assert open_ports() == ["7"]
        server.kill()
    # Half a minute of work, in which all ports are tried several times.
    arguments = build_arguments(config, "bach_chorales", tmp_path / "data", 2)
    with hosts(0, "-m", *arguments) as process:
        num_scans = 0
        while process.poll() is None:
            assert open_ports() == []
            num_scans += 1
        process.communicate()
        assert process.returncode == 0
    assert num_scans > 3


def test_ways_of_beam_that_open_ports_are_refused(config, music, tmp_path):
    process = start(
        "pipelines.build_tfrecords",
        f"--config={config}",
        f"--source={music}",
        f"--output_dir={tmp_path / 'data'}",
        "--direct_running_mode=multi_processing",
    )
    _, errors = process.communicate()
    assert process.returncode == 2
    assert errors.startswith(
        "error: --direct_running_mode=multi_processing: Beam would"
    )
    assert "--num_workers=N" in errors
    assert not (tmp_path / "data").exists()


def test_runners_that_open_ports_say_so(caplog):
    beam_options({"runner": "PortableRunner"}, [])
    assert "--runner=PortableRunner opens ports" in caplog.text
