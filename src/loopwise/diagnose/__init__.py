"""See inside: gradients through time, memory, gates, and what to do about them."""
