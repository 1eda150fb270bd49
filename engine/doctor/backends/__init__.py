"""One file per runtime: what its backends need, in the order in which a user must mend it."""
