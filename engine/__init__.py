"""The runtime: noise, graph, votes, bounds, certificates. Needs neither torch nor a GPU."""
