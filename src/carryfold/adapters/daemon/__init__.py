"""The daemon: a venue's streams into the log, the fold over every commit, and what it decides carried out."""
