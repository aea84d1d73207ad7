"""Speech recognition: utterances in, words out."""
