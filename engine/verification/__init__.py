"""Is a run what it says it is."""
