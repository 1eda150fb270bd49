"""How a network is fitted: optimiser, rate, average, as configurations."""
