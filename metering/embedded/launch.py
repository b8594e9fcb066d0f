"""Become a child process as the supervisor wants it, then exec: `python -m metering.embedded.launch OPTIONS -- COMMAND...`

A program of its own rather than a `preexec_fn`, which is not safe in a parent that has threads. It drops root's rights, asks the
kernel to signal the child when its parent dies, and can keep one capability: as root, a checkout below a private folder
(`/root`, `mktemp -d`) cannot be reached by the unprivileged user that PostgreSQL and Redis must run as, and no folder's
permissions are ours to change.
"""

import argparse
import ctypes
import os
import signal
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1
PR_CAPBSET_READ = 23
PR_SET_SECUREBITS = 28
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
CAPABILITY_VERSION_3 = 0x20080522
# Reading and searching any folder; else the broader right to do so, which is what containers usually leave to root.
CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_SETPCAP = 1, 2, 8
# Capabilities then survive the change of user, and `access()` takes them into account: PostgreSQL's programs look for each
# other with it, and would not find themselves below a private folder.
SECBIT_NO_SETUID_FIXUP = 1 << 2

libc = ctypes.CDLL(None, use_errno=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--death-signal", type=int, default=int(signal.SIGTERM))
    parser.add_argument("--uid", type=int)
    parser.add_argument("--gid", type=int)
    parser.add_argument("--capability", type=int)
    parser.add_argument("--directory")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    if options.directory:
        os.chdir(options.directory)  # while we still may
    if options.uid is not None:
        drop_rights(options.uid, options.gid, options.capability)
    _prctl(PR_SET_PDEATHSIG, options.death_signal)  # after the change of user, which clears it
    if os.getppid() != options.parent:
        sys.exit("the parent died before its child had started")
    os.execv(options.command[0], options.command)  # noqa: S606 - no shell is the point


def drop_rights(uid: int, gid: int, capability: int | None) -> None:
    """Become `uid` for good. With `capability`, keep that one, across exec too (an ambient capability)."""
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    if capability is None:
        os.setresuid(uid, uid, uid)
        return
    _prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP)
    os.setresuid(uid, uid, uid)
    _capset(1 << capability)
    _prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability)


def keepable_capability(*, to_execute: bool = False) -> int | None:
    """The narrowest capability that opens private folders and that this process could hand on, if any.

    `to_execute`: it must also run programs that only root may execute (installed under a umask of 077), as reading alone does not.
    """
    status = Path("/proc/self/status").read_text()
    permitted = next(int(line.split()[1], 16) for line in status.splitlines() if line.startswith("CapPrm:"))
    if not permitted & (1 << CAP_SETPCAP):
        return None
    for capability in (CAP_DAC_OVERRIDE,) if to_execute else (CAP_DAC_READ_SEARCH, CAP_DAC_OVERRIDE):
        bounding = libc.prctl(PR_CAPBSET_READ, capability, 0, 0, 0)
        if permitted & (1 << capability) and bounding == 1:
            return capability
    return None


def _capset(mask: int) -> None:
    class Header(ctypes.Structure):
        _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))

    class Sets(ctypes.Structure):
        _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))

    sets = (Sets * 2)()
    sets[0] = Sets(mask, mask, mask)
    header = Header(CAPABILITY_VERSION_3, 0)
    if libc.capset(ctypes.byref(header), ctypes.byref(sets)) != 0:
        raise OSError(ctypes.get_errno(), "capset")


def _prctl(option: int, value: int, third: int = 0) -> None:
    if libc.prctl(option, value, third, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({option})")


if __name__ == "__main__":
    main()
