"""N-gram language models.

`estimate.estimate` makes a `model.NGram` from sentences, `arpa` reads and writes it, and with
`scorer.NGramScorer` a search for speech uses it.
"""
