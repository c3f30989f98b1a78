"""What `nox -s agreement` runs: `python -m tests.agreement [--pairs N]`."""

from __future__ import annotations

import sys

from tests.agreement.tf_cnn import main

if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
