"""Whether a graph's values stay finite: a bound on the size of each."""
