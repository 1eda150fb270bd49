"""Whether drawn noise follows its law and is independent: tests of any source of noise."""
