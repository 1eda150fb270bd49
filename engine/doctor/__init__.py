"""engine-doctor: which backends this machine can run, why not, and how to mend it."""
