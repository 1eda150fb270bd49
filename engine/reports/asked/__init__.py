"""What a report has on request, beside its table: shares by class, and a block for a model card."""
