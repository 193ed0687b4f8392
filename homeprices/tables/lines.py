"""Lines of text from bytes, read in blocks: one rule for encodings, line ends and zero bytes."""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator
from typing import Protocol

from homeprices.errors import DatasetRefused, MalformedTable

BLOCK_BYTES = 4 * 2**20
"""Large enough to make the latency of a request to the bucket negligible; buffers for ten columns take 40 MiB."""

LONGEST_LINE = 16 * 2**20
"""Characters. A line is held in memory as a whole."""

_SHOWN = 40
_MARKS = (
    (codecs.BOM_UTF32_LE, None), (codecs.BOM_UTF32_BE, None), (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"),
)  # fmt: skip
_ARCHIVES = {
    b"PK\x03\x04": "a zip archive or a spreadsheet (xlsx)", b"\x1f\x8b": "a gzip archive", b"BZh": "a bzip2 archive",
    b"\xfd7zXZ": "an xz archive", b"\x28\xb5\x2f\xfd": "a zstd archive", b"\xd0\xcf\x11\xe0": "a spreadsheet (xls)",
    b"%PDF": "a PDF document",
}  # fmt: skip
EXPECTED = "expected CSV, JSON or JSON lines in UTF-8, or in UTF-16 with a byte-order mark"
MERGE_MARKS = ("<<<<<<<", "=======", ">>>>>>>", "|||||||")
_COMMENT_MARKS = ("#", "//")


def fault(source: str, problem: str, line: int | None = None) -> MalformedTable:
    """The error of a file that cannot be read: its name, the line, and what is wrong."""
    return MalformedTable(refusal(source, problem, line).fields)


def refusal(source: str, problem: str, line: int | None = None, column: str = "") -> DatasetRefused:
    """The error of a readable file that is not the expected table: its name, the line, the column, and the fault."""
    place = ", ".join([*([f"line {line}"] if line else []), *([f"column {column[:_SHOWN]}"] if column else [])])
    return DatasetRefused({source: f"{place}: {problem}" if place else problem})


class SeekableFile(Protocol):
    """The methods of a binary file that this module calls."""

    def read(self, size: int, /) -> bytes | None:
        """Up to `size` bytes; none at the end."""

    def seek(self, offset: int, /) -> int:
        """Go to a place from the start."""


class Lines:
    """The lines of a file, each with its line end (LF, CRLF or CR).

    Other characters that Unicode calls line ends (U+2028, U+0085, \\x0b, \\x1c) belong to the text. Raises
    MalformedTable for an archive, another encoding, a zero byte and a line over LONGEST_LINE, with the line number.
    """

    def __init__(self, file: SeekableFile, source: str, head: bytes = b"", *, block_bytes: int = BLOCK_BYTES) -> None:
        self._file, self.source, self._head, self._block_bytes = file, source, head, block_bytes

    def _chunks(self) -> Iterator[bytes]:
        """The bytes in blocks; the first one holds a whole byte-order mark, and begins with what was read before."""
        size = max(self._block_bytes, 4)
        for start in range(0, len(self._head), size):
            yield self._head[start : start + size]
        while data := self._file.read(size) or b"":
            yield data

    def texts(self) -> Iterator[tuple[str, str]]:
        """Pieces of decoded text, each with what is wrong at its end (blank: nothing)."""
        chunks = self._chunks()
        data = next(chunks)
        for magic, name in _ARCHIVES.items():
            if data.startswith(magic):
                raise fault(self.source, f"is {name}; {EXPECTED}")
        mark, encoding = next(((m, e) for m, e in _MARKS if data.startswith(m)), (b"", "utf-8"))
        if encoding is None:
            raise fault(self.source, f"is UTF-32; {EXPECTED}")
        data = data[len(mark) :]
        while mark and data.startswith(mark):  # a program put it in front of a file that had one
            data = data[len(mark) :]
        decoder = codecs.getincrementaldecoder(encoding)()
        name = "UTF-8" if encoding == "utf-8" else "UTF-16"
        while True:
            more = next(chunks, b"")
            held = decoder.getstate()[0]
            try:
                text, problem = decoder.decode(data, final=not more), ""
            except UnicodeDecodeError as error:
                text = (held + data)[: error.start].decode(encoding, errors="ignore")
                problem = f"is not {name}"
            if (zero := text.find("\0")) >= 0:
                text = text[:zero]
                problem = "holds a zero byte"
            yield text, problem
            if problem or not more:
                return
            data = more

    def pieces(self) -> Iterator[str]:
        """The text in pieces that cut no CRLF. Raises as the iteration over lines does, except for a long line."""
        number, before, held = 1, "", ""
        for text, problem in self.texts():
            text, held = held + text, ""
            if text.endswith("\r") and not problem:
                text, held = text[:-1], "\r"
            if text:
                yield text
            number += count_line_ends(text)
            if problem:
                raise fault(self.source, f"{problem}{_after(before + text)}; {EXPECTED}", number)
            before = (before + text)[-_SHOWN:]
        if held:
            yield held

    def __iter__(self) -> Iterator[str]:
        for text in self.whole():
            yield from io.StringIO(text, newline="")

    def whole(self) -> Iterator[str]:
        """The text in pieces of whole lines. Raises as the iteration over lines does."""
        number, rest = 0, ""
        for text, problem in self.texts():
            rest += text
            # A CR at the end may be the first half of a CRLF.
            end = max(rest.rfind("\n"), rest.rfind("\r", 0, len(rest) - 1)) + 1
            if end:
                yield rest[:end]
            number += count_line_ends(rest[:end])
            rest = rest[end:]
            if len(rest) > LONGEST_LINE:
                raise fault(self.source, f"has more than {LONGEST_LINE:,} characters; {EXPECTED}", number + 1)
            if problem:
                raise fault(self.source, f"{problem}{_after(rest)}; {EXPECTED}", number + 1)
        if rest:
            yield rest


def _after(text: str) -> str:
    before = text[max(text.rfind("\n"), text.rfind("\r")) + 1 :][-_SHOWN // 2 :]
    return f" after {before!r}" if before else ""


def mark_of(line: str) -> str:
    """The fault of a line that is a merge marker or a comment instead of a row; '' for any other line."""
    shown = line.lstrip()[:_SHOWN].replace("\r", "\n").partition("\n")[0].rstrip()
    if shown.startswith(MERGE_MARKS):
        return f"is a merge marker, {shown!r}; resolve the conflict first"
    if shown.startswith(_COMMENT_MARKS):
        return f"is a comment, {shown!r}; expected a header and rows only"
    return ""


def count_line_ends(text: str) -> int:
    """The number of LF, CRLF and CR in a text."""
    return text.count("\n") + text.count("\r") - text.count("\r\n")
