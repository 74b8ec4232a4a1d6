"""The skills of the demo model: seeded generators of the dialogues that it is trained on."""
