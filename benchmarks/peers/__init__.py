"""Adapters to code of other projects, which the benchmarks run for comparison."""
