# -*- coding: utf-8 -*-
# Cells of a notebook in the percent format, without outputs. Made by darkroom; edit it as you like.

# %% [markdown]
# # Differential privacy and budgets 差分隐私与预算
#
# The owner of `tax.wages` lets figures leave with noise only, and only so much of them in thirty days. You
# say what a question may cost, learn beforehand how large its noise will be, and see the budget end.
#
# 这个数据集只输出加噪结果，预算有限。

# %%
import darkroom

darkroom.use(project="study", purpose="A study of incomes")
ask = "select league, count(*) as n, avg(income) as mean from tax.wages group by league order by league"
darkroom.sql(ask, on="twin").result()

# %% [markdown]
# ## The price, beforehand 先问价
#
# Millionths of ρ (zero-concentrated differential privacy). More of it buys less noise. A dry run says what
# the noise would be, and spends nothing.
#
# 花得越多，噪声越小；试算不花预算。

# %%
room = darkroom.connect()
about = {"project": "study", "purpose": "A study of incomes"}
small = room.dry_run(ask, **about, spend_micro=200_000)["noise"]
large = room.dry_run(ask, **about, spend_micro=1_500_000)["noise"]
small["errors"], large["errors"]

# %% [markdown]
# ## The answer 结果
#
# Beside each figure stands its error: in 95 of 100 cases the noise moves it by no more. Every declared league
# has a row, also one in which nobody is: which leagues have persons would be an answer without noise. Its
# mean is withheld, since so small a count carries none.
#
# 每个数字旁边都有误差；没有人的盟市也照样出现。

# %%
result = darkroom.sql(ask, on="real", spend_micro=1_500_000).result(120)
assert "n_error" in result.columns and len(result) == 4
result

# %%
result.plot(x="league", y="n")

# %% [markdown]
# The real counts are 300, 300, 300 and 0. What left is near them, and different whenever it is drawn; the
# same job keeps its answer for ever, since a second draw would be a second look.
#
# 真实人数在噪声范围内；同一任务不会重新抽取噪声。

# %% [markdown]
# ## What cannot be private 不能加噪的问题
#
# A maximum is one person's. No noise of a fair size hides it, so it is refused by its rule.
#
# 最大值无法用合理的噪声保护。

# %% tags=["refused:policy.denied"]
highest = "select league, max(income) as m from tax.wages group by league"
darkroom.sql(highest, on="real", spend_micro=1_000).result(120)

# %% [markdown]
# ## The end of a budget 预算用完
#
# The owner gives 4 ρ for thirty days, and at most half of it to one member: 2 ρ, of which 1.5 are spent. A
# question for 1 more is refused whole, and no figure leaves. What to do stands in the error.
#
# 超出剩余预算的请求整体被拒绝；错误信息说明怎么办。

# %% tags=["refused:budget.spent"]
darkroom.sql(ask, on="real", spend_micro=1_000_000).result(120)

# %% [markdown]
# The advice, followed: one count of all, for less.
#
# 按建议改问一个总数，花费较少。

# %%
total = darkroom.sql("select count(*) as n from tax.wages", on="real", spend_micro=300_000).result(120)
total

# %%
darkroom.budget()
