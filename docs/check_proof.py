"""Checks that one request is billed by an invoice: python check_proof.py PROOF.json ROOT REQUESTS

ROOT and REQUESTS are what the invoice says under "digest of requests". Nothing of Tallywatt is used; docs/proof.md has the format.
"""

import hashlib
import json
import sys
from pathlib import Path


def sha256(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def root_of(proof: dict) -> str:
    leaf = sha256(b"\x00", proof["request"].encode())
    bucket = sorted([leaf, *map(bytes.fromhex, proof["siblings"])])
    top = sha256(b"\x02", *bucket)
    for step in proof["path"]:
        beside = bytes.fromhex(step["hash"])
        top = sha256(b"\x01", beside, top) if step["side"] == "left" else sha256(b"\x01", top, beside)
    tops = [bytes.fromhex(text) for text in proof["tops"]]
    if top not in tops:
        return "none: the path does not lead to any top of this proof"
    return sha256(b"\x03", proof["requests"].to_bytes(8, "big"), *tops).hex()


if __name__ == "__main__":
    proof = json.loads(Path(sys.argv[1]).read_text())
    root, requests = sys.argv[2].lower(), int(sys.argv[3])
    good = root_of(proof) == root and proof["requests"] == requests
    print(proof["request"], "is billed by this invoice" if good else "IS NOT PROVEN", sep="\n\n")  # noqa: T201
    sys.exit(0 if good else 1)
