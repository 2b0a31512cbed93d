"""Named lists for the `expand` modifier: `name|expand: '%shells%'` stands for every value of the list."""

from __future__ import annotations

from collections.abc import Mapping

PLACEHOLDERS: Mapping[str, tuple[str, ...]] = {
    # Program names (comm, at most 15 characters) and the last part of paths.
    "shells": ("sh", "bash", "dash", "zsh", "ksh", "ash", "csh", "tcsh", "fish", "mksh", "rbash", "busybox"),
    "interpreters": ("python", "perl", "ruby", "php", "lua", "node", "nodejs", "tclsh", "awk", "gawk", "mawk"),
    # Directories that anybody may write to; each ends with a slash so that it works with startswith.
    "temporary_directories": ("/tmp/", "/var/tmp/", "/dev/shm/", "/run/shm/", "/dev/mqueue/"),  # noqa: S108 - facts
    # Directories that package managers fill and that only root may write to.
    "system_directories": (
        "/usr/", "/bin/", "/sbin/", "/lib/", "/lib32/", "/lib64/", "/libx32/", "/opt/", "/snap/", "/nix/store/",
        "/gnu/store/",
    ),
    # The same without what is installed beside the distribution's packages below /opt.
    "distribution_directories": (
        "/usr/", "/bin/", "/sbin/", "/lib/", "/lib32/", "/lib64/", "/libx32/", "/snap/", "/nix/store/", "/gnu/store/",
    ),
    "downloaders": ("curl", "wget", "fetch", "lwp-download", "lynx", "aria2c", "axel", "tftp", "ftpget", "scp", "sftp"),
}  # fmt: skip
