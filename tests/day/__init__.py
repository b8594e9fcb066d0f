"""A simulated day of a provider through the whole stack, held against the simulator's own truth: `make day`. See docs/simulator.md."""
