"""What on this host would spoil a measurement, how much each matters, and how to mend it.

`readings` gathers facts, modules of checks (`cpu`, `memory`, …) judge them without reading anything, `fix` changes
what can be undone and notes it first, `restore` undoes it.
"""
