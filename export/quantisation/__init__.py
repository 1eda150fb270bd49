"""Static INT8: what values a graph's layers see, which layers compute in integers, and which lose too many votes so."""
