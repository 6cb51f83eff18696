"""Every fenced block of the documentation, by the page and the section it is in."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

from include.config.settings import PROJECT

PAGES = [PROJECT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "RELEASING.md")] + sorted(
    page for page in (PROJECT / "docs").rglob("*.md") if "adr" not in page.parts
)
FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^(?P=indent)```$", re.DOTALL | re.MULTILINE)
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Example:
    """One block."""

    key: str
    """``page > section``, with ``> 2`` for the second block of a section and so on."""
    language: str
    text: str

    @property
    def commands(self) -> list[str]:
        """Its commands, each in one line, without comments."""
        joined = self.text.replace("\\\n", " ")
        lines = (re.sub(r"\s+#.*$", "", line).strip() for line in joined.splitlines())
        return [line for line in lines if line and not line.startswith("#")]


def outside_of_blocks(page: Path) -> str:
    """The page without its fenced blocks."""
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def examples() -> dict[str, Example]:
    """All there are, by key, in the order of the pages."""
    found: dict[str, Example] = {}
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        blocks = list(FENCE.finditer(text))
        headings = [h for h in HEADING.finditer(text) if not any(b.start() < h.start() < b.end() for b in blocks)]
        for block in blocks:
            section = [h[1] for h in headings if h.start() < block.start()][-1]
            first = f"{page.relative_to(PROJECT)} > {section}"
            key, number = first, 1
            while key in found:
                number += 1
                key = f"{first} > {number}"
            found[key] = Example(key, block["language"], textwrap.dedent(block["text"]))
    return found
