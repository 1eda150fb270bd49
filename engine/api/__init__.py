"""What Python programs see of the engine: `import purecert` hands out the names that are defined here."""
