"""Speech from a recurrent transducer (Graves, 2012).

In each frame the network says units, each likely after those before it, until it says blank and
goes to the next frame. `greedy` takes what is likeliest each time, `beam` adds up the ways to say
each text. Both take frames as they come, and ask a `predictor.TransducerPredictor`.
"""
