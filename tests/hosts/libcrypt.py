"""Password hashes as the hosts' own library makes them: libxcrypt, which every Debian, Ubuntu and Fedora has."""

from __future__ import annotations

import ctypes
import secrets

ALPHABET = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

# A setting of each scheme that is cheap to try, with a place for its salt.
SETTINGS = {
    "des": ("{}", 2),
    "bsdi_des": ("_X...{}", 4),
    "nt": ("$3${}", 0),
    "md5": ("$1${}$", 8),
    "sha256": ("$5$rounds=1000${}$", 16),
    "sha512": ("$6$rounds=1000${}$", 16),
    # The last character of this salt holds two bits only.
    "bcrypt_a": ("$2a$04${}u", 21),
    "bcrypt_b": ("$2b$04${}e", 21),
    "bcrypt_y": ("$2y$05${}O", 21),
    "scrypt": ("$7$5/..../....{}$", 14),
    "yescrypt": ("$y$j75${}", 20),
    "yescrypt_lanes": ("$y$j7/./${}", 16),
}
# What the distributions set today, at their own cost.
YESCRYPT = ("$y$j9T${}", 20)
SHA512 = ("$6${}$", 16)

_library = ctypes.CDLL("libcrypt.so.1")
_library.crypt.restype = ctypes.c_char_p
_library.crypt.argtypes = [ctypes.c_char_p, ctypes.c_char_p]


def crypt(password: str, setting: tuple[str, int]) -> str:
    """The hash of a password with a fresh salt."""
    text, length = setting
    salt = "".join(secrets.choice(ALPHABET) for _ in range(length))
    made: bytes | None = _library.crypt(password.encode(), text.format(salt).encode())
    if made is None or made.startswith(b"*"):
        raise ValueError(f"libcrypt does not take {text}")
    return made.decode()
