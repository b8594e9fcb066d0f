"""What GPUs and engines report, worked up: minutes, saturation, energy. See README.md."""
