"""Stories of computations on ciphertexts, and of a lookup that hides who is looked up."""
