"""Words as they are kept to be found: normalised, by sound, and by parts of them."""
