"""Whatever moment the writer is killed at, the mp4 holds every frame once."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
from fractions import Fraction
from pathlib import Path

import pytest

from pipeline.errors import OutputError
from pipeline.messages import Frame, Message
from stages.video_writer import VideoWriter
from tests.stages.frames import end, gap, yuv_frame
from tests.stages.stage_bench import Machine, bench_context
from tests.stages.video_writer.test_stage import read, the_file

FRAMES = 40


def messages() -> list[Message]:
    made: list[Message] = [yuv_frame(i, 40 * i, duration=40) for i in range(FRAMES)]
    made[17] = gap(17)
    return [*made, end(FRAMES)]


EXPECTED = [(Fraction(40 * i, 1000), i) for i in range(FRAMES) if i != 17]


@pytest.mark.parametrize("kills", [{0}, {3}, {9}, {17}, {20, 21, 35}, {5, 6, 7, 8, 9, 10, 11, 12, 13}, {39}])
def test_killed_after_these_messages_the_file_is_whole(tmp_path, kills):
    machine = Machine(VideoWriter, bench_context(tmp_path))
    for number, message in enumerate(messages()):
        machine.deliver(message)
        if number in kills:
            machine.kill()
    machine.close()
    assert read(the_file(tmp_path)) == EXPECTED


def test_killed_at_random_a_hundred_times_the_file_is_whole(tmp_path):
    dice = random.Random(2)
    machine = Machine(VideoWriter, bench_context(tmp_path))
    for message in messages()[:-1]:
        machine.deliver(message)
        for _ in range(dice.choice([0, 0, 1, 8])):
            machine.kill()
    machine.deliver(messages()[-1])
    machine.close()
    assert read(the_file(tmp_path)) == EXPECTED


def test_killed_before_the_commit_the_packets_already_spooled_are_not_written_twice(tmp_path):
    machine = Machine(VideoWriter, bench_context(tmp_path))
    sent = messages()
    machine.deliver(*sent[:20])
    # The stage had the message, spooled a packet, and died before the machine could commit.
    machine.unacknowledged.append(sent[20])
    machine.stage.process(sent[20])
    machine.kill()
    machine.deliver(*sent[21:])
    machine.close()
    assert read(the_file(tmp_path)) == EXPECTED


def test_killed_between_the_finished_file_and_the_commit_the_file_is_made_again(tmp_path):
    machine = Machine(VideoWriter, bench_context(tmp_path))
    sent = messages()
    machine.deliver(*sent[:-1])
    machine.unacknowledged.append(sent[-1])
    machine.stage.flush(sent[-1])
    assert (tmp_path / "clip.stabilized.mp4").exists()
    machine.kill()
    machine.close()
    assert read(the_file(tmp_path)) == EXPECTED


def test_a_worker_thought_dead_that_goes_on_writing_does_no_harm(tmp_path):
    machine = Machine(VideoWriter, bench_context(tmp_path))
    sent = messages()
    machine.deliver(*sent[:20])
    undead = machine.stage
    machine.kill(thought_dead=True)
    for message in sent[20:30]:
        undead.process(message)
        machine.deliver(message)
    undead.close()
    machine.deliver(*sent[30:])
    machine.close()
    assert read(the_file(tmp_path)) == EXPECTED


def test_what_an_unfinished_run_left_is_not_mixed_in_and_is_removed(tmp_path):
    abandoned = Machine(VideoWriter, bench_context(tmp_path))
    abandoned.deliver(*[yuv_frame(200, 40 * i, sequence=i) for i in range(30)])
    abandoned.close()
    assert list(tmp_path.glob("*.spool-*.part"))
    machine = Machine(VideoWriter, bench_context(tmp_path))
    machine.deliver(*messages())
    machine.close()
    assert read(the_file(tmp_path)) == EXPECTED


def test_a_spool_that_vanished_is_an_error_that_names_it(tmp_path):
    machine = Machine(VideoWriter, bench_context(tmp_path))
    machine.deliver(*messages()[:20])
    for left in tmp_path.glob("*.part"):
        left.unlink()
    with pytest.raises(OutputError, match=r"clip\.stabilized\.mp4\.spool-.*cannot write: No such file"):
        machine.kill()


def _work_until_killed(folder: Path, upto: int, committed) -> None:
    machine = Machine(VideoWriter, bench_context(folder))
    for message in messages()[:upto]:
        machine.deliver(message)
    committed.send((machine.committed, [m.header.sequence for m in machine.unacknowledged]))
    # Goes on without committing, as a worker does that is killed between its work and its commit.
    for message in messages()[upto:-1]:
        if isinstance(message, Frame):
            machine.stage.process(message)
    committed.send("ready")
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("upto", [4, 25])
def test_a_process_that_is_killed_with_sigkill_loses_nothing(tmp_path, upto):
    spawn = multiprocessing.get_context("spawn")
    receiver, sender = spawn.Pipe(duplex=False)
    process = spawn.Process(target=_work_until_killed, args=(tmp_path, upto, sender))
    process.start()
    committed, unacknowledged = receiver.recv()
    assert receiver.recv() == "ready"
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    machine = Machine(VideoWriter, bench_context(tmp_path))
    machine.committed = committed
    machine.unacknowledged = [m for m in messages() if m.header.sequence in unacknowledged]
    machine.kill()
    machine.deliver(*messages()[upto:])
    machine.close()
    assert read(the_file(tmp_path)) == EXPECTED
