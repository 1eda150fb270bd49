"""How is a record written and read: one byte form, strict reading, atomic writing."""
