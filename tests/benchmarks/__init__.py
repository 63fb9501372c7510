"""How fast bytelog is: `python -m tests.benchmarks`, ratios of things measured in the same run."""
