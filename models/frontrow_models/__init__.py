"""Features, River models, labels, simulation: what computes and learns, without I/O."""
