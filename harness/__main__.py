"""`python -m harness`: the same program as the console script `overhead-matrix`."""

from harness.cli import main

raise SystemExit(main())
