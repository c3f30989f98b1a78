"""What runs inside a platform. Standard library only, Python 3.10 or later, imports nothing else of harness."""
