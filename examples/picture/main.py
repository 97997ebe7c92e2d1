"""A bar for the mean income of every league that has enough persons to be shown."""

from matplotlib import pyplot

import darkroom

ENOUGH = 10

income = darkroom.table("tax.income").to_pandas().dropna(subset=["income"])
income["income"] = income["income"].astype(float)
made = income.groupby("region").agg(persons=("person", "nunique"), mean=("income", "mean"))
made = made[made["persons"] >= ENOUGH].reset_index()
made.to_csv(darkroom.out("means.csv"), index=False)

places = range(len(made))
pyplot.barh(places, made["mean"] / 1000)
pyplot.yticks(places, [f"row {place + 1}" for place in places])
pyplot.xlabel("mean income, thousand yuan")
pyplot.savefig(darkroom.out("means.png"))
