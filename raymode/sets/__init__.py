"""Raw solutions to verified, clustered equivalence sets."""
