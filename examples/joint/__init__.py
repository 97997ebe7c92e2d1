"""Stories of joint computation: several agencies, one answer, nothing else learned."""
