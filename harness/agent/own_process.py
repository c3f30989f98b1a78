"""How a process of the agent's own is started: one of its modules, from the folder or archive that this one lies in.

Nothing is imported here but what every interpreter has loaded when it starts, and PROGRAM imports nothing beside the
module: the sampler's start must stay short.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

IMPORT_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))  # noqa: PTH100, PTH120 - above
# With a name to take from it, __import__ returns the module itself and not its topmost package.
PROGRAM = (
    "import sys; sys.path.insert(0, sys.argv[1]);"
    "sys.exit(__import__(sys.argv[2], fromlist=['main']).main(sys.argv[3:]))"
)  # fmt: skip
ISOLATED = ("-I",)  # no variables, folders or packages of the user


def command(module: str, *arguments: str, options: Sequence[str] = ISOLATED) -> list[str]:
    """Return the command that runs `main(arguments)` of a module of the agent, whose return value is the status.

    `options` are the interpreter's.
    """
    return [sys.executable or "python3", *options, "-c", PROGRAM, IMPORT_ROOT, module, *arguments]
