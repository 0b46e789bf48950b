"""A finished system at work: a package of network and graph, and the recogniser that reads audio with it."""
