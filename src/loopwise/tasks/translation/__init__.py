"""Translation: sentences in, sentences out, also word by word."""
