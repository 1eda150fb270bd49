"""Pages of documentation: fenced blocks with the comments before these, links, and what stands in backquotes."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
DOCS = ROOT / "docs"
PAGES = [README, *sorted(DOCS.rglob("*.md"))]

_COMMENT = re.compile(r"<!-- (not run|run by|run as|first): (.+) -->")
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_SPAN = re.compile(r"`([^`]+)`")
RUN_LANGUAGES = ("sh", "bash", "console", "python")
LANGUAGES = (*RUN_LANGUAGES, "text")


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """One fenced block, with what the comments right before it say."""

    line: int  # of the opening fence, from 1
    language: str
    text: str
    not_run: str | None  # the reason
    run_by: str | None  # the file that runs it
    first: tuple[str, ...]  # commands that come before it
    run_as: tuple[tuple[str, str], ...]  # what is replaced by what: smaller numbers

    @property
    def is_run(self) -> bool:
        """Whether the tests run this block."""
        return self.language in RUN_LANGUAGES and self.not_run is None and self.run_by is None

    def smaller(self) -> str:
        """Return the text with the replacements of ``run as``, each of which must occur."""
        text = self.text
        for old, new in self.run_as:
            assert old in text, f"line {self.line}: {old!r} is replaced, but does not occur"
            text = text.replace(old, new)
        return text


def blocks(page: str) -> list[Block]:
    """Return the fenced blocks of a page's text."""
    lines = page.splitlines()
    fences = [index for index, line in enumerate(lines) if line.startswith("```")]
    assert len(fences) % 2 == 0, "a fence is not closed"
    return [_block(lines, start, end) for start, end in zip(fences[::2], fences[1::2], strict=True)]


def _block(lines: list[str], start: int, end: int) -> Block:
    comments: list[tuple[str, str]] = []
    while (match := _COMMENT.fullmatch(lines[start - len(comments) - 1])) is not None:
        comments.insert(0, (match[1], match[2]))
    said = dict(comments)
    return Block(
        line=start + 1,
        language=lines[start].removeprefix("```").strip(),
        text="\n".join(lines[start + 1 : end]) + "\n",
        not_run=said.get("not run"),
        run_by=said.get("run by"),
        first=tuple(text for kind, text in comments if kind == "first"),
        run_as=_replacements(said["run as"]) if "run as" in said else (),
    )


def _replacements(text: str) -> tuple[tuple[str, str], ...]:
    pairs = [part.split(" => ") for part in text.split("; ")]
    return tuple((old, new) for old, new in pairs)


def comment_lines(page: str) -> list[str]:
    """Return the lines that are meant as comments for the tests, well written or not."""
    return [line for line in page.splitlines() if line.startswith("<!--")]


def is_comment(line: str) -> bool:
    """Whether the line is a comment that `blocks` understands."""
    return _COMMENT.fullmatch(line) is not None


def links(page: str) -> list[str]:
    """Return the targets of a page's relative links and pictures."""
    targets = _LINK.findall(_without_blocks(page))
    return [target for target in targets if not re.match(r"[a-z]+:", target)]


def spans(page: str) -> list[str]:
    """Return what stands in backquotes in sentences and tables, a space for each end of a line."""
    return [" ".join(span.split()) for span in _SPAN.findall(_without_blocks(page))]


def anchors(page: str) -> set[str]:
    """Return the names by which a page's headings are linked to, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", _without_blocks(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _without_blocks(page: str) -> str:
    return re.sub(r"^```.*?^```$", "", page, flags=re.MULTILINE | re.DOTALL)
