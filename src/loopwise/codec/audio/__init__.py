"""Between recordings and frames: audio files, sampling rates, features, and their augmentation."""
