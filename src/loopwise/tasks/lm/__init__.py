"""Language modelling: text in, the next token's probabilities out."""
