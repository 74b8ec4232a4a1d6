"""LlamaEngine: llama.cpp in this process, on its low-level API."""
