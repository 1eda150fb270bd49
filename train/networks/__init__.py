"""Network families, a file or a folder each."""
