# -*- coding: utf-8 -*-
# Cells of a notebook in the percent format, without outputs. Made by darkroom; edit it as you like.

# %% [markdown]
# # A joint computation 联合计算
#
# Two agencies have registers of the same persons: education knows who graduated in time, the tax service what
# students earned. Neither may have the other's register, and you belong to neither. You ask one statement
# over both; it is computed on shares, and you alone open the answer.
#
# 两个部门的数据不合并、不出门，联合计算一个答案。

# %%
import darkroom

darkroom.use(project="students-and-taxes", purpose="Working during the studies, and graduation in time")
ask = """
select s.field, s.in_time, count(*) as students, avg(w.income) as mean_income
from education.students s join tax.working w using (person)
group by s.field, s.in_time
"""

# %% [markdown]
# ## On the twins of both 双方的仿真数据
#
# Twins of all owners join by `person`. Nobody is asked.
#
# 所有数据方的仿真数据可以按人关联。

# %%
tried = darkroom.joint(ask, on="twin")
assert tried.result().look_alike
tried.result()

# %% [markdown]
# ## Who computes 由谁计算
#
# A real question names who computes: three servers that hold shares, and a helper that matches pseudonyms and
# owns nothing. No single one of them learns a row. All of them approve the plan, and so do the owners.
#
# 真实请求要写明三个计算方和一个协助方，它们谁也看不到明文。

# %%
named = {"servers": ["nm/education", "nm/tax", "nm/civil"], "helper": "nm/office"}
job = darkroom.joint(ask, on="real", **named)
job

# %%
import time

while job.refresh().state in ("submitted", "planning"):
    time.sleep(0.5)
job.progress()

# %% [markdown]
# The plan says, before anybody approves, who would see what, and under which adversary model.
#
# 计划写明谁能看到什么、在什么假设下安全。

# %%
job.explain()

# %% [markdown] tags=["everybody-approves"]
# ## Every party approves 各方批准
#
# An approver of each agency reads that plan on their own machine and signs it. One that does not, and nothing
# runs.
#
# 每一方的批准人都要签字，缺一不可。

# %%
result = job.result(300)
result

# %% [markdown]
# Figures are exact. One behind which fewer than ten persons stand would be withheld; here none is, and the
# first note says so. The others name the adversary model, and who would have to collude to learn what.
#
# 数字是精确的；人数太少的格子不公开，说明中列出安全假设。

# %%
result.notes

# %% [markdown]
# ## A refusal 一次拒绝
#
# A condition that compares columns of two owners is refused, since no place sees the rows of both. The error
# names the clause, and what to do: conditions over columns of one owner each.
#
# 条件里不能比较两个部门的列；每个条件只用一方的列。

# %% tags=["refused:sql.unsupported"]
mixed = "select count(*) as n from education.students s join tax.working w using (person) where s.enrolled = w.income"
darkroom.joint(mixed, on="real", **named).result(120)
