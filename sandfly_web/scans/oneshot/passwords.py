"""Reads an operator's list of passwords for the audit. No message ever holds one of them."""

from __future__ import annotations

from pathlib import Path

MAX_WORDS = 10_000
MAX_WORD_BYTES = 128
MAX_FILE_BYTES = MAX_WORDS * (MAX_WORD_BYTES + 2)


class PasswordListError(ValueError):
    """The list cannot be used; the message names the file and line."""


def read_password_list(path: Path) -> list[str]:
    """One password a line, UTF-8, blanks kept, empty lines left out, each once. Raises PasswordListError."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise PasswordListError(f"{path}: {error.strerror}") from None
    if len(data) > MAX_FILE_BYTES:
        raise PasswordListError(f"{path}: larger than {MAX_FILE_BYTES} bytes")
    words: dict[str, None] = {}
    for number, line in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        if word := _decode(path, number, line.removesuffix(b"\r")):
            words[word] = None
    if not words:
        raise PasswordListError(f"{path}: no password in it")
    if len(words) > MAX_WORDS:
        raise PasswordListError(f"{path}: more than {MAX_WORDS} passwords")
    return list(words)


def _decode(path: Path, number: int, line: bytes) -> str:
    if len(line) > MAX_WORD_BYTES or b"\0" in line:
        raise PasswordListError(f"{path}:{number}: longer than {MAX_WORD_BYTES} bytes, or with a NUL byte")
    try:
        return line.decode()
    except UnicodeDecodeError:
        raise PasswordListError(f"{path}:{number}: not UTF-8") from None
