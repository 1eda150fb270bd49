"""Public checkpoints as model.pt: which kinds of file there are, and what becomes of each."""
