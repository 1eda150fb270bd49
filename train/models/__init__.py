"""model.pt: what it holds, which kinds there are, and whether purifier and classifier fit."""
