"""Where models come from: hubs, and what other programs on this machine already have."""
