"""Mode radii by stopping tables: when each radius is decided, and whether recorded decisions can be true."""
