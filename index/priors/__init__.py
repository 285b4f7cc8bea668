"""The earlier studies of a patient, ranked by how much they tell."""
