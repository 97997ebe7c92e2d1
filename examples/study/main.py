"""Persons and mean income of every league, and how unequal incomes are there."""

import darkroom  # in the box: tables come in, outputs go out, and nothing else

income = darkroom.table("tax.income").to_pandas().dropna(subset=["income"])
income["income"] = income["income"].astype(float)
groups = income.groupby("region")
made = groups.agg(persons=("person", "nunique"), mean=("income", "mean"), spread=("income", "std"))
made["spread"] = made["spread"] / made["mean"]
made.reset_index().to_csv(darkroom.out("by_region.csv"), index=False)
print(f"{len(made)} leagues")
