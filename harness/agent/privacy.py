"""What a program prints may name a person: the home folder, the user. A bundle may be published, so neither stays."""

from __future__ import annotations

import getpass
import os
import re

NOBODY = frozenset({"root", "Administrator", "SYSTEM"})  # names of an office, not of a person
USER = "user"
# Where a home folder begins: not within another path, `/mnt/root`, but behind a compiler's flag, `-I/root/x`.
BEGIN = r"(?:(?<![\w.~-])|(?<=\s-[A-Za-z]))"
END = r"(?![\w.-])"  # of a name in a path


def without_person(text: str) -> str:
    """Return the text with `~` for this user's home folder, and `user` for the user's name where it is part of a path.

    Elsewhere the name stays: as a word it may mean something else, and would be garbled.
    """
    home = os.path.expanduser("~")  # noqa: PTH111 - Path.home() raises where there is none
    if len(home) > 1 and home != "~":
        text = re.sub(BEGIN + re.escape(home) + END, "~", text)
    name = _name()
    if not name or name in NOBODY:
        return text
    return re.sub(rf"(?<=[/\\]){re.escape(name)}{END}", USER, text)


def _name() -> str:
    """Return the user's name, empty where this user has none: an identity without an account, as in containers."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return ""
