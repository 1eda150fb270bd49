"""What a training minimises, one equation a file."""
