"""A program that records until it is killed, and says on stdout, unbuffered, what `record()` has returned for.

python -m tests.tallywatt.recorder URL KEY OUTBOX FSYNC_MS THREADS
"""

import itertools
import os
import sys
import threading

import tallywatt


def main(url: str, key: str, outbox: str, fsync_ms: int, threads: int) -> None:
    client = tallywatt.Client(url, key, outbox=outbox, fsync_ms=fsync_ms, batch_events=50, batch_age_s=0.05)

    def record(name: int) -> None:
        for number in itertools.count():
            found = client.record(
                id=f"{os.getpid()}-{name}-{number}",
                model="m",
                input_tokens=number,
                output_tokens=1,
                attributes={"padding": "x" * (number % 700)},
            )
            os.write(1, f"{found}\n".encode())

    running = [threading.Thread(target=record, args=(name,)) for name in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
