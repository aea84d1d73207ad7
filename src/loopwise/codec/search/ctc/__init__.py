"""Speech from the output of a network with connectionist temporal classification.

The network gives probabilities of V symbols for each frame, of which 0 is the blank. A path of
symbols is read as units by dropping repetitions, then blanks (Graves et al., 2006). `greedy` reads
the likeliest path, `beam` adds up the paths of each text. Both take frames as they come.
"""
