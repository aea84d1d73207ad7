"""Speech beside its sound: utterances, transcripts as units, pronunciations, outputs, measures."""
