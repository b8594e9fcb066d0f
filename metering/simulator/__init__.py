"""A simulated fleet of GPUs and inference engines, for demos and tests. What it emits is labelled as simulated. See docs/simulator.md."""
