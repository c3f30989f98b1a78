from __future__ import annotations

from harness.agent.messages import write_json
from harness.errors import PlatformError
from harness.platforms.base import Ending, Job
from harness.runner.prepare import inspect
from tests.runner.fake_platform import FakePlatform

STAND_IN = {"fake.stand_in": {"value": "a fake platform", "source": "tests"}}


def test_an_inspection_holds_what_the_agent_and_what_the_platform_say() -> None:
    def agent(job: Job) -> Ending:
        write_json(job.result, {"system.kernel": {"value": "6.1", "source": "uname"}})
        return Ending(exit_code=0)

    found = inspect(FakePlatform("fake", agent), "driver", "cpu")
    assert found == {"system.kernel": {"value": "6.1", "source": "uname"}, **STAND_IN}


def test_a_failed_inspection_says_why_and_keeps_what_the_platform_says() -> None:
    def broken(_job: Job) -> Ending:
        raise PlatformError("the engine is gone")

    found = inspect(FakePlatform("fake", broken), "driver", "cpu")
    assert found == {"inspection": {"value": None, "source": "agent", "error": "the engine is gone"}, **STAND_IN}
