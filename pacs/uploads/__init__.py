"""Uploads from browsers by tus 1.0.0: kept on disk until they are whole, then taken in like everything else."""
