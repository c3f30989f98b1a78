"""Starts the agent: `python agent.pyz VERB SPEC RESULT`. Must parse on every Python that a platform may have.

Nothing but sys is imported above the version gate.
"""

import sys

if sys.version_info < (3, 10):  # noqa: UP036 - the gate: this very file is what an older Python reads
    sys.stderr.write(
        "overhead-matrix agent: found Python %s, needs 3.10 or later: install one on this platform, or choose it for the stack in matrix.yaml\n"  # noqa: E501, UP031
        % sys.version.split()[0]
    )
    raise SystemExit(64)

if __name__ == "__main__":
    import faulthandler

    from harness.agent.main import main

    if sys.stderr is not None:
        faulthandler.enable()  # a crash inside a library then says where
    raise SystemExit(main(sys.argv[1:]))
