"""A batch whose files lie in an object store, and whose results go to one."""

from __future__ import annotations

import json
import re
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from pipeline.errors import InputError, OutputError, OutputInWork
from pipeline.remote import retries
from pipeline.remote.store import Store
from raftline.cli.app import app
from raftline.cli.batch.files import FINGERPRINT, BatchFile, already_finished
from raftline.cli.batch.own_outputs import OwnOutputs
from raftline.cli.batch.place import Place
from raftline.cli.batch.places import open_place
from raftline.cli.batch.walk import Finder
from tests.command_line import lay_out, run, running, wait_until_alone, wait_until_begun
from tests.data import data_path
from tests.raftline.cli.batch.ray_cluster import ray_cluster
from tests.s3_server import SECRETS, S3Server, s3_server

YAML = """
name: counting
stages:
  decoder: {use: "stages.decoder:Decoder"}
  sums: {use: "counting:Sum", reads: decoder}
"""
PLAN: Any = SimpleNamespace(stages={})
FILE = BatchFile("a", "s3://clips/in/a.mp4", "sub", "5 etag")


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with s3_server("clips", "results") as server:
        yield server


@pytest.fixture(scope="module")
def done(server: S3Server, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """A batch over a folder: where it ran, and what it said on standard output and error."""
    folder = tmp_path_factory.mktemp("batch")
    lay_out(folder)
    (folder / "counting.yaml").write_text(YAML)
    clips = Store("s3://clips/in")
    clips.put(data_path("video", "odd", "video_270.mov"), "deep/er/${NOTSET} #1.mov")
    for name in ("bad.mp4", "notes.txt", ".hidden/b.mp4", "c.mp4.part"):
        clips.write(name, b"no video")
    debug = {"RAFTLINE_LOG": "DEBUG", "RAFTLINE_SCRATCH": str(folder / "scratch")}
    said = run(folder, "batch", "counting.yaml", "s3://clips/in", "-o", "s3://results/out", code=2, **debug)
    return folder, said.stdout, said.stderr


def test_files_of_a_bucket_are_read_in_place_and_results_lie_in_mirrored_folders(done: tuple[Path, str, str]) -> None:
    folder, said, errors = done
    assert "2 files, 0 finished before, 2 to do" in said
    assert "left out: 1 hidden, 1 not complete yet, 1 no video (.txt)" in said
    assert "    s3://results/out/deep/er/${NOTSET} #1.sums.txt\n" in said
    assert "error: s3://clips/in/bad.mp4: no video: " in errors
    results = Store("s3://results/out")
    names = {"bad.summary.json", "deep/er/${NOTSET} #1.summary.json", "deep/er/${NOTSET} #1.sums.txt", "summary.json"}
    assert {file.name for file in results.list()} == names
    sources = json.loads(results.read(["summary.json"])["summary.json"])["sources"]
    source = sources["deep/er/${NOTSET} #1"]
    assert (source["state"], source["read"]) == ("finished", "in place")
    assert source["input"] == "s3://clips/in/deep/er/${NOTSET} #1.mov"
    left = [path for path in (folder / "scratch").rglob("*") if path.is_file() and "notes" not in path.parts]
    assert [path.name for path in left] == ["machine"]


def test_no_address_of_a_file_is_seen_by_others(done: tuple[Path, str, str]) -> None:
    folder, *said = done
    store = Store("s3://results/out")
    texts = [*(text.encode() for text in said), *store.read([file.name for file in store.list()]).values()]
    texts += [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    for secret in (SECRETS["AWS_SECRET_ACCESS_KEY"], "X-Amz-Signature=", "X-Amz-Credential=AKIA"):
        assert not [text for text in texts if secret.encode() in text.replace(b"X-Amz-Signature=***", b"")]


def batch(folder: Path, *arguments: str) -> Result:
    """In this process: for batches that run no pipeline."""
    options = ("-o", "s3://results/out", "--scratch", str(folder / "other scratch"))
    return CliRunner().invoke(app, ["batch", str(folder / "counting.yaml"), *arguments, *options])


def test_what_is_finished_is_known_on_every_machine_until_the_file_changes(done: tuple[Path, str, str]) -> None:
    folder = done[0]
    said = batch(folder, "s3://clips/in/**/*.mov", "s3://clips/in/deep/er")
    assert said.exit_code == 0 and "1 files, 1 finished before, 0 to do" in said.stdout, said.output
    place, found = place_of(folder), finder(folder).find(["s3://clips/in/deep"])
    assert found.files[0].folder == "er" and found.files[0].version
    place.refresh()
    assert place.has("s3://results/out/deep/er/${NOTSET} #1.sums.txt") and not place.has("s3://results/out/gone")


def test_a_run_over_files_of_a_store_is_a_batch_of_them(done: tuple[Path, str, str]) -> None:
    video, configuration = "s3://clips/in/deep/er/${NOTSET} #1.mov", str(done[0] / "counting.yaml")
    arguments = ["run", configuration, "-i", video, "-o", "s3://results/out/deep/er"]
    said = CliRunner(env={"RAFTLINE_SCRATCH": str(done[0] / "run")}).invoke(app, arguments)
    assert said.exit_code == 0 and "1 files, 1 finished before, 0 to do" in said.stdout, said.output
    said = CliRunner().invoke(app, [*arguments, "--web", "127.0.0.1:0"])
    assert said.exit_code == 2 and "files of a store are run as a batch: leave out" in said.stderr


@pytest.mark.parametrize(
    ("inputs", "output", "why"),
    [
        ("s3://nothing/in", "s3://results/out", "error: s3://nothing/in: no such file, folder or bucket"),
        (
            "s3://clips/nothing",
            "s3://results/out",
            "error: s3://clips/nothing: no such file, no folder, and no pattern",
        ),
        ("s3://clips/in", "s3://nothing/out", "error: s3://nothing/out: no such bucket"),
        ("az://clips/in", "s3://results/out", "pip install 'raftline[remote]' adlfs"),
    ],
)
def test_mistakes_are_said_before_anything_is_begun(
    done: tuple[Path, str, str], inputs: str, output: str, why: str
) -> None:
    options = ["-o", output, "--scratch", str(done[0] / "other scratch")]
    said = CliRunner().invoke(app, ["batch", str(done[0] / "counting.yaml"), inputs, *options])
    assert said.exit_code == 2 and why in said.stderr


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_files_of_a_bucket_go_to_the_nodes_of_a_cluster(server: S3Server, tmp_path: Path) -> None:
    lay_out(tmp_path)
    for number in range(4):
        Store("s3://clips/ray").write(f"{number}.mp4", b"x")
    with ray_cluster() as cluster:
        ray = ("--executor", "ray", "--address", cluster.address, "--scratch", "scratch")
        run(tmp_path, "batch", "counting.yaml", "s3://clips/ray", "-o", "s3://results/ray", *ray)
    names = {f"{number}.{what}" for number in range(4) for what in ("sums.txt", "summary.json")}
    assert {file.name for file in Store("s3://results/ray").list()} == {*names, "summary.json"}


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_shards_share_a_bucket_and_one_that_is_killed_goes_on(server: S3Server, tmp_path: Path) -> None:
    lay_out(tmp_path)
    names = [f"deep/{number}" for number in range(6)]
    for name in names:
        Store("s3://clips/shards").write(f"{name}.mp4", b"x")
    slow = ("--set", "stages.counter.options={frames: 20, pause_seconds: 0.1}")
    results = Store("s3://results/shards")

    def shard(index: int) -> tuple[str, ...]:
        part = ("--shard", f"{index}/2", "--scratch", f"machine {index}")
        return ("batch", "counting.yaml", "s3://clips/shards", "-o", "s3://results/shards", *slow, *part)

    with running(tmp_path, *shard(0)) as one, running(tmp_path, *shard(1)) as other:
        deadline = time.monotonic() + 100
        while not list((tmp_path / "machine 0").rglob("*.lock")):  # a file is under way
            assert time.monotonic() < deadline
            time.sleep(0.05)
        one.kill()
        assert other.wait(250) == 0
        assert other.stdout is not None
        said = other.stdout.read()
    wait_until_alone(tmp_path)
    said += run(tmp_path, *shard(0)).stdout
    counts = [int(count) for count in re.findall(r"(\d+) files of 6 \(shard \d of 2\)", said)]
    assert len(counts) == 2 and sum(counts) == 6 and min(counts) > 0
    wanted = {f"{name}.{what}" for name in names for what in ("sums.txt", "summary.json")}
    assert {file.name for file in results.list()} == {*wanted, "summary.json"}
    sums = results.read([f"{name}.sums.txt" for name in names])
    assert [content.count(b"\n") for content in sums.values()] == [20] * 6
    whole = json.loads(results.read(["summary.json"])["summary.json"])
    assert whole["state"] == "finished" and sorted(whole["sources"]) == names


@pytest.mark.slow
def test_what_ctrl_c_stops_is_delivered_and_done_later(server: S3Server, tmp_path: Path) -> None:
    lay_out(tmp_path)
    Store("s3://clips/stop").write("a.mp4", b"x")
    arguments = ("batch", "counting.yaml", "s3://clips/stop", "-o", "s3://results/stop", "--scratch", "scratch")
    slow = ("--set", "stages.counter.options={frames: 100000, pause_seconds: 0.1}")
    with running(tmp_path, *arguments, *slow) as process:
        wait_until_begun(tmp_path)
        process.send_signal(signal.SIGINT)
        assert process.wait(150) == 130
    results = Store("s3://results/stop")
    assert {file.name for file in results.list()} == {"a.sums.txt", "a.summary.json", "summary.json"}
    assert "1 to do" in run(tmp_path, *arguments).stdout
    assert results.read(["a.sums.txt"])["a.sums.txt"].count(b"\n") == 20


def finder(folder: Path, output: str = "out") -> Finder:
    from stages.decoder import Decoder

    stage = SimpleNamespace(name="sums", options=SimpleNamespace(path="{source}.sums.mp4"))
    plan: Any = SimpleNamespace(stages={"sums": stage})
    return Finder(Decoder.left_out, OwnOutputs(output, plan))


def test_what_raftline_wrote_into_a_bucket_is_no_input(server: S3Server, tmp_path: Path) -> None:
    store = Store("s3://clips/own")
    note = {"sources": {"a": {"outputs": ["s3://clips/own/elsewhere/a.any.mp4"]}}}
    for name in ("a.mp4", "out/sub/a.sums.mp4", "elsewhere/a.any.mp4", "elsewhere/b.mp4", "b.mp4", "b.mp4.aria2"):
        store.write(name, b"x")
    store.write("elsewhere/a.summary.json", json.dumps(note).encode())
    found = finder(tmp_path, "s3://clips/own/out").find(["s3://clips/own"])
    assert [file.path for file in found.files] == ["s3://clips/own/a.mp4", "s3://clips/own/elsewhere/b.mp4"]
    assert found.reasons() == "2 not complete yet, 3 written by raftline"
    with pytest.raises(InputError, match="nothing to do; left out: 1 written by raftline"):
        finder(tmp_path, "s3://clips/own/out").find(["s3://clips/own/out/sub/a.sums.mp4"])


def place_of(folder: Path, url: str = "s3://results/out") -> Place:
    return open_place(url, folder / "place")


def written(place: Place, content: bytes = b"result") -> list[Path]:
    """What a pipeline has written for FILE: a file and a folder of files, and its summary."""
    folder = place.work / "sub"
    (folder / "a.masks").mkdir(parents=True)
    outputs = [folder / "a.mp4", folder / "a.masks"]
    outputs[0].write_bytes(content)
    (outputs[1] / "0.png").write_bytes(b"image")
    source = {"outputs": list(map(str, outputs)), "state": "finished"}
    summary = {"sources": {"a": source}, "state": "finished", FINGERPRINT: FILE.fingerprint(PLAN)}
    (folder / FILE.summary_name).write_text(json.dumps(summary))
    return outputs


def deliver(place: Place) -> list[str]:
    with place.alone("sub/a.summary.json") as held:
        return place.deliver(FILE, held, threading.Event(), {})


def test_a_run_that_is_killed_between_upload_and_summary_delivers_again(
    server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = "s3://results/killed"
    place = place_of(tmp_path, url)
    outputs = written(place)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("raftline.cli.batch.remote_place.RemotePlace._put_summary", interrupted)
        deliver(place)
    assert "sub/a.mp4" in {file.name for file in Store(url).list()}
    again = place_of(tmp_path, url)
    again.refresh()
    assert not already_finished(FILE, PLAN, again.notes, again.has)
    assert already_finished(FILE, PLAN, again.work)  # so the pipeline need not run
    deliver(again)
    assert not any(path.exists() for path in outputs)
    elsewhere = place_of(tmp_path / "another machine", url)
    elsewhere.refresh()
    assert already_finished(FILE, PLAN, elsewhere.notes, elsewhere.has)
    assert elsewhere.has(f"{url}/sub/a.masks")
    Store(url).remove("sub/a.mp4")
    elsewhere.refresh()
    assert not already_finished(FILE, PLAN, elsewhere.notes, elsewhere.has)


def interrupted(*arguments: object) -> None:
    raise KeyboardInterrupt


def test_an_upload_that_fails_for_good_keeps_the_file_and_says_where(
    server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retries, "PAUSES_SECONDS", (0.0,))
    place = place_of(tmp_path, "s3://results/full")
    outputs = written(place)
    with monkeypatch.context() as patch:
        patch.setattr(Store, "put", full)
        with pytest.raises(OutputError, match=r"s3://results/full/sub/a.mp4: .*SlowDown.* is kept in .*work/sub: run"):
            deliver(place)
    assert all(path.exists() for path in outputs)
    assert deliver(place) == ["s3://results/full/sub/a.masks", "s3://results/full/sub/a.mp4"]


def full(self: Store, path: Path, name: str) -> None:
    raise OSError("SlowDown")


def test_two_machines_never_write_one_output(server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.remote.object_lock.RENEW_SECONDS", 0.01)
    monkeypatch.setattr("pipeline.remote.object_lock._LOOK_SECONDS", 0.01)
    one, other = place_of(tmp_path / "one"), place_of(tmp_path / "other")
    with one.alone("sub/a.summary.json"), pytest.raises(OutputInWork, match="another run works on it"):
        with other.alone("sub/a.summary.json"):
            pass


def test_a_connection_that_is_cut_in_an_upload_leaves_nothing_half(
    server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = bytes(range(256)) * 2**13  # 2 MiB
    with cutting(server.url) as (address, cuts), monkeypatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", address)
        patch.setattr("s3fs.S3FileSystem.cachable", False)
        place = place_of(tmp_path, "s3://results/cut")
        written(place, content)
        deliver(place)
    assert cuts == [True]
    assert Store("s3://results/cut").read(["sub/a.mp4"]) == {"sub/a.mp4": content}


@contextmanager
def cutting(url: str) -> Iterator[tuple[str, list[bool]]]:
    """A way to a server that is cut once, after the first megabyte of a connection; its address, and whether it was."""
    listener, cuts = socket.create_server(("127.0.0.1", 0)), list[bool]()
    host, _, port = url.removeprefix("http://").partition(":")

    def forward(source: socket.socket, sink: socket.socket, most: int | None) -> None:
        taken = 0
        try:
            while data := source.recv(1 << 16):
                taken += len(data)
                if most is not None and not cuts and taken > most:
                    cuts.append(True)
                    break
                sink.sendall(data)
        except OSError:
            pass
        for end in (source, sink):
            shutdown(end)

    def accept() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            there = socket.create_connection((host, int(port)))
            threading.Thread(target=forward, args=(client, there, 2**20), daemon=True).start()
            threading.Thread(target=forward, args=(there, client, None), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", cuts
    finally:
        listener.close()


def shutdown(end: socket.socket) -> None:
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    end.close()
