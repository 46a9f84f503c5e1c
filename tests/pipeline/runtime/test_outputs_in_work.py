"""What a run does about an output that another run writes, and about what a killed one has left."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import OutputInWork
from pipeline.runtime.output_lock import OutputLock, Run
from pipeline.runtime.supervisor import Supervisor
from tests.pipeline.running import ledger, make_test_plan


def test_an_output_in_work_ends_the_run_and_is_left_alone_until_its_owner_is_dead(tmp_path: Path) -> None:
    plan = make_test_plan(tmp_path, {"ledger": {"use": "Ledger", "reads": "decoder"}}, source={"frames": 5})
    plan.output.mkdir()
    output = plan.output / "a.ledger.txt"
    theirs = OutputLock.take(output, Run("theirs", "process 2 on there, since dawn"))
    part = output.with_name("a.ledger.txt.part")
    part.write_text("theirs")
    with pytest.raises(OutputInWork, match="another run works on it \\(process 2 on there, since dawn\\)"):
        Supervisor(plan).run()
    assert part.read_text() == "theirs"
    assert theirs._fd is not None
    (plan.output / ".a.ledger.txt.lock").rename(plan.output / "kept")
    theirs.release()
    (plan.output / "kept").rename(plan.output / ".a.ledger.txt.lock")  # as after a kill
    assert Supervisor(plan).run()["state"] == "finished"
    assert ledger(plan) == ["0", "1", "2", "3", "4", "end"]
    assert sorted(path.name for path in plan.output.iterdir()) == ["a.ledger.txt", "summary.json"]
