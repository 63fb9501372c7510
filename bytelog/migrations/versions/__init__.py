"""One file a step, named by its revision and what it does."""
