"""Settings: their types (`config.settings`) and the one loader (`config.load`)."""
