"""What else does a finished run of a fixed n answer, without a draw? Its answers are never the run's own results."""
