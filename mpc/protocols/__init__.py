"""The protocols that boxes run: secret sharing, matching, comparison. Pure: values in, values out, and a channel."""
