"""Joint computation 联合计算: several owners, one answer, nothing else learned."""
