"""Conversations on the disk: what happened in each, so that none is lost and any can go on."""
