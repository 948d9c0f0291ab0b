"""What waiting costs, beside the triggers of other providers. ``python -m benchmarks --help``; docs/benchmark.md."""
