"""matrix.yaml → checked model → cells."""
