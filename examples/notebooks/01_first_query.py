# -*- coding: utf-8 -*-
# Cells of a notebook in the percent format, without outputs. Made by darkroom; edit it as you like.

# %% [markdown]
# # First query 第一次查询
#
# You ask about data that you never see. You try a statement on look-alike rows, which costs nothing, send the
# same statement to the real data, and receive figures that the owner's rules let leave.
#
# 数据不出门，您只拿到规则允许离开的结果。

# %% [markdown]
# ## What there is 目录
#
# The catalog has every dataset with its columns. Showing it runs nothing and spends nothing.
#
# 先看目录：有哪些数据集、哪些列。

# %%
import darkroom

darkroom.use(project="study", purpose="A study of incomes")
darkroom.datasets()

# %%
darkroom.describe("nm/tax/earnings")

# %% [markdown]
# ## Look-alike rows 仿真数据
#
# Rows that are made up, of the same columns and types. The first note says so wherever they are shown.
#
# 仿真数据由目录生成，不含任何真实的人。

# %%
sample = darkroom.sample("nm/tax/earnings", rows=5)
assert sample.look_alike and len(sample) == 5
sample

# %%
ask = "select league, count(*) as n, avg(income) as mean from tax.earnings group by league order by league"
tried = darkroom.sql(ask, on="twin")
tried.result()

# %% [markdown]
# The statement runs. Its figures say nothing about anybody: the leagues are as many as were declared, also
# one in which three persons live in truth. What the owner's rules say of the same statement is a dry run: an
# empty list means that it would be allowed.
#
# 仿真数据上能运行；再问一次规则是否允许。

# %%
reasons = tried.explain()
assert list(reasons) == []
reasons

# %% [markdown]
# ## One word changed 只改一个词
#
# `on="real"` makes a signed request of it. A job comes back at once; `wait` and `result` wait.
#
# 把 twin 改成 real，同一语句就在真实数据上运行。

# %%
job = darkroom.sql(ask, on="real")
job.wait(120)
job

# %%
result = job.result()
assert not result.look_alike
assert "阿拉善" not in [row[0] for row in result.rows]
result

# %% [markdown]
# Three rows, and not four: in 阿拉善 there are three persons, fewer than the owner's minimum of ten, so it has
# no row. Counts are multiples of five. The notes below the table say so, and with whose key the release was
# checked.
#
# 人数太少的一行不会出现，计数取整到五的倍数。

# %%
result.to_pandas()

# %%
result.plot()

# %% [markdown]
# ## A refusal, and its advice 被拒绝时怎么办
#
# The highest income of a league is one person's income. The owner's policy says no, by a rule that is named;
# below it stand whom to ask, and a statement that passes, ready to copy.
#
# 最大值就是某一个人的数值，所以被拒绝；错误信息给出规则、联系人和可以通过的写法。

# %% tags=["refused:policy.denied"]
darkroom.sql("select league, max(income) as m from tax.earnings group by league", on="real").result(120)

# %% [markdown]
# `darkroom.try_it()` checks the proposed statement by a dry run. Nothing is asked of the data.
#
# 用试算检查建议的写法。

# %%
darkroom.try_it()

# %%
allowed = "select league, avg(income) as m from tax.earnings group by league order by league"
darkroom.sql(allowed, on="real").result(120).to_pandas()

# %% [markdown]
# ## What was spent 用了多少
#
# Each real question is one plan of your grant. Tries on look-alike data, dry runs and displays are none.
#
# 只有真实查询计入额度。

# %%
darkroom.budget()
