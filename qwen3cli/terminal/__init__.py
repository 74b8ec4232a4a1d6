"""The one door to the terminal: streams, rendering, progress, slash commands, the prompt loop."""
