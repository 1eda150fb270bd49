"""Whether each row is classified by one function of its own pixels: the check, and where its result is kept."""
