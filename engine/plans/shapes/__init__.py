"""The size of every value of a plan's graph, followed from its inputs before any runtime sees it."""
