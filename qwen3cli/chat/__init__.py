"""The domain: messages, events, sampling, thinking, turns. It prints nothing and knows no library."""
