"""What do runs claim, as tables, curves and JSON."""
