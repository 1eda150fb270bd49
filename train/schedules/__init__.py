"""Which noise levels: grids, betas and targets, as the papers state them."""
