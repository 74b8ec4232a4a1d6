"""Models on disk: names, the store, what a file says of itself, what fits this machine."""
