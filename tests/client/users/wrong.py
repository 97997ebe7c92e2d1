# ruff: noqa: B018
"""What a type checker finds before anything runs: one mistake for each line that is marked."""

import darkroom

darkroom.sql(5, on="twin")  # wrong
darkroom.sql("select 1", on="real").result().names  # wrong
darkroom.submit("study", on="twin").result().rows  # wrong
darkroom.submit("study", on="real", tabels={})  # wrong
darkroom.component("describe", {}, ["tax.income"], on="twin").result().to_pandas()  # wrong
darkroom.sql("select 1", on="twin").result().columns
