"""What names a person, a host or one single machine is taken out of a report before it is published.

Inspections read no serial numbers and no host or user names; what is left are GPU UUIDs and boot ids, which join a
machine's boots, and free text: the reasons and warnings of programs. Each thing withheld gets a number, the same
wherever it stood in this report, so that what was distinct stays so. Where in doubt too much is taken rather than
too little. A name that looks like any other word (`ssh lab`, a platform called after its owner) can't be known.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

from harness.analysis.document import Document

SENSITIVE = frozenset({"uuid", "gpu_uuid", "boot_id", "serial", "hostname", "host_name", "user", "username"})  # keys
FACTS = frozenset(
    {"host", "environments", "differences", "differs", "confounders", "stacks", "comparability"}
)  # hold no addresses
REMOTE = "remote"  # the kind of platform whose messages name hosts
SILENT = "withheld: it may name a host"

# Each begins where no shorter match could have begun, so that a text of any length is gone through in linear time.
_UUID = r"(?:MIG-)?(?:GPU-)?\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b"
_DIGEST = r"\b[0-9a-fA-F]{32}\b"  # a machine-id
_URL = r"(?<![\w+.-])[a-zA-Z][a-zA-Z0-9+.-]*://[^\s'\"`<>]+"
_LOGIN = r"(?<![\w.+-])[\w.+-]+@(?!2(?![\w.-])|sha256:)[A-Za-z0-9](?:[\w.:-]*\w)?"  # no arm (`native@2`), no digest
_QUOTED = r"(?<=['\"`])(?:~|/|[A-Za-z]:[\\/]|\\\\)[^'\"`\n]*(?=['\"`])"  # a quoted path, spaces and all
_WINDOWS = r"(?<!\w)(?:[A-Za-z]:[\\/]|\\\\)(?:[^\\/:*?\"<>|\n]+[\\/])*[^\\/:*?\"<>|\s,;]*"
_HOME = r"/(?:home|Users)/(?:[^/\n:;,\"'`<>|()]+/)*[^\s/:;,\"'`<>|()]*"
_SYSTEM = r"(?:proc|sys|usr|bin|sbin|lib|lib64|dev/(?!mapper|disk)[\w-]*|etc|mnt/[a-z](?![\w/]))(?![\w-])"
_EXPORT = r"(?<![\w/.-])[\w.-]+:/[^\s:;,\"'`<>|()]+"  # a share, `host:/path`
_PATH = rf"(?<![\w/.)\]}}-])(?!/{_SYSTEM})~?/[^\s:;,\"'`<>|()]*[\w][^\s:;,\"'`<>|()]*"
_IPV4 = r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w.]*\d)"
_IPV6 = (
    r"(?<![\w:])(?:[0-9a-fA-F]{1,4}:){3,7}[0-9a-fA-F]{1,4}(?![\w:])|(?<![\w:])(?:[0-9a-fA-F]{1,4}:){1,6}:[0-9a-fA-F:]+"
)
_MAC = r"\b[0-9a-fA-F]{2}(?:[:-][0-9a-fA-F]{2}){5}\b"
_ANYWHERE = re.compile("|".join((_URL, _UUID, _DIGEST, _LOGIN, _QUOTED, _WINDOWS, _HOME, _EXPORT, _PATH)))
_ADDRESS = re.compile("|".join((_MAC, _IPV6, _IPV4)))
_NAME = r"([A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?)"
_HOST = re.compile(rf"@{_NAME}|`ssh {_NAME}`|\bhost(?:name| named) {_NAME}")


def redacted(document: Document) -> Document:
    """Return the document without what identifies; all numbers stay. The document itself is not changed."""
    return cast("Document", _Redaction(_silenced(document)).run())


def _silenced(document: Document) -> dict[str, Any]:
    """What was said of a remote platform, without the words: they name hosts in ways that no pattern finds."""
    remote = {name for name, record in document["platform_records"].items() if record["kind"] == REMOTE}
    records = {
        name: {**record, "reason": SILENT if name in remote and record["reason"] else record["reason"]}
        for name, record in document["platform_records"].items()
    }
    capabilities = [
        {**each, "reason": SILENT} if each["platform"] in remote else each for each in document["capabilities"]
    ]
    starts = tuple(f"{name}{sign}" for name in remote for sign in (",", ":", " "))
    warnings = [SILENT if each.startswith(starts) else each for each in document["warnings"]]
    return {**document, "platform_records": records, "capabilities": capabilities, "warnings": warnings}


class _Redaction:
    """One pass over one document, which remembers what it has withheld."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document
        self._numbers: dict[str, int] = {}
        hosts = {host for text in _texts(document) for found in _HOST.findall(text) for host in found if host}
        hosts -= {"2", "sha256"}
        words = "|".join(map(re.escape, sorted(hosts, key=len, reverse=True)))
        self._hosts = re.compile(rf"(?<![\w.-])(?:{words})(?![\w-])") if words else None

    def run(self) -> Any:  # noqa: ANN401 - any JSON
        return self._value(self._document, facts=False)

    def _value(self, value: object, *, facts: bool) -> Any:  # noqa: ANN401 - any JSON
        if isinstance(value, Mapping):
            return {self._text(key, facts=True): self._item(key, item, facts=facts) for key, item in value.items()}
        if isinstance(value, list):
            return [self._value(item, facts=facts) for item in value]
        return self._text(value, facts=facts) if isinstance(value, str) else value

    def _item(self, key: str, item: object, *, facts: bool) -> object:
        if isinstance(item, str) and item and key.rpartition(".")[2] in SENSITIVE:
            return self._number(item)
        return self._value(item, facts=facts or key in FACTS)

    def _text(self, text: str, *, facts: bool) -> str:
        text = _ANYWHERE.sub(self._withhold, text)
        if not facts:
            text = _ADDRESS.sub(self._withhold, text)
        return self._hosts.sub(self._withhold, text) if self._hosts else text

    def _withhold(self, found: re.Match[str]) -> str:
        return self._number(found[0])

    def _number(self, text: str) -> str:
        return f"withheld-{self._numbers.setdefault(text, len(self._numbers) + 1)}"


def _texts(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    items = [*value.keys(), *value.values()] if isinstance(value, Mapping) else value if isinstance(value, list) else []
    return [text for item in items for text in _texts(item)]
