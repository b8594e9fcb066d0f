"""`python -m bench.month DIR`: fill the month into DIR (as far as it is not there), and serve it until a signal. For looking and timing by
hand."""

import signal
import sys
import time
from pathlib import Path

from bench.month.filling import fill_up
from bench.stack import quiet, setup_django

data_dir = Path(sys.argv[1])
with quiet(data_dir) as (url, pid):
    setup_django()
    print(f"{url}, web pid {pid}", flush=True)
    for name, seconds in fill_up(data_dir):
        print(f"{name}: {seconds:.0f} s", flush=True)
    print("filled", flush=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    while True:
        time.sleep(1)
