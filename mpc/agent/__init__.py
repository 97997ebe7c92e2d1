"""The agent: a party's own process that speaks with the agents of other parties, and never sees a row or a key."""
