"""Under which names other libraries keep the weights of networks that are here."""
