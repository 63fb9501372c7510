"""The benchmarks: `python -m tests.benchmarks` prints ratios of values from the same run."""
