"""Long tests of converting, whole: `python -m tests.torture`. The ordinary tests run seeded samples of them."""
