"""What rRCM minimises: contrastive denoising before, noisy classification after."""
