# -*- coding: utf-8 -*-
# Cells of a notebook in the percent format, without outputs. Made by darkroom; edit it as you like.

# %% [markdown]
# # A study, from application to release 从申请到结果
#
# You have no grant yet. You apply, an approver of the owner decides, you develop a program on look-alike
# tables, and send it to the real ones.
#
# 一项研究的全过程：申请、批准、开发、提交、取得结果。

# %% [markdown]
# ## Before there is a grant 没有授权时
#
# Look-alike data need none. The real data do: the refusal names the rule, and says what to apply for.
#
# 没有授权时，真实数据的请求会被拒绝，并说明应当申请什么。

# %%
import darkroom

darkroom.use(project="study", purpose="A study of incomes")
count = "select league, count(*) as n from tax.earnings group by league"
darkroom.sql(count, on="twin").result()

# %% tags=["refused:policy.denied"]
darkroom.sql(count, on="real").result(120)

# %% [markdown]
# ## Applying 申请
#
# For columns, a project, a purpose, and a last day. In a lab this call is refused, and the error has the
# portal's page with everything filled in; you send it there yourself.
#
# 写明要用的列、项目、用途和期限。

# %%
from datetime import UTC, datetime, timedelta

until = (datetime.now(UTC) + timedelta(days=2)).strftime("%Y-%m-%d")
wish = darkroom.apply("nm/tax/earnings", ["league", "income"], until=until)
wish["state"]

# %%
darkroom.applications()

# %% [markdown] tags=["somebody-grants"]
# ## Somebody else decides 由数据方批准
#
# An approver of the owner compares your fingerprint with what you read out, reads the grant and signs it, on
# their own machine: `darkroom approve ID --fingerprint sha256:…`. You wait.
#
# 批准人在自己的机器上核对、签字；这一步不由您来做。

# %%
grants = darkroom.grants()
assert grants
grants

# %% [markdown]
# ## A program 编写程序
#
# A function is sent as a program: its source and nothing around it. It imports what it uses, reads tables by
# their names, and writes outputs that it declares. A table that leaves has a column with the numbers of
# persons.
#
# 函数的源代码就是提交的程序，输出必须事先声明。


# %%
def by_league(least):
    import darkroom

    people = darkroom.table("tax.earnings").to_pandas()
    groups = people.groupby("league")
    made = groups.agg(persons=("person", "nunique"), mean=("income", "mean"), spread=("income", "std"))
    made = made[made.persons >= least].reset_index()
    made.to_csv(darkroom.out("by_league.csv"), index=False)
    print(len(made), "leagues")


asked = {
    "tables": {"tax.earnings": ["league", "income"]},
    "outputs": {"by_league.csv": {"form": "table", "persons": "persons"}},
    "arguments": {"least": 2},
}

# %%
tried = darkroom.submit(by_league, on="twin", **asked)
tried.wait(120)
print(tried.logs())

# %%
tried.result().table()

# %% [markdown]
# What is wrong shows here, whole, since the rows are made up. A program that forgets its output says so at
# once.
#
# 仿真数据上的错误会完整显示。


# %% tags=["refused:box.failed"]
def forgets():
    import darkroom

    darkroom.table("tax.earnings")


darkroom.submit(forgets, on="twin", tables=asked["tables"], outputs=asked["outputs"]).result(120)

# %% [markdown]
# ## Real data 真实数据
#
# The same call with one word changed. The program is tried once more beside the data, then it runs there; its
# table is read anew and judged before it leaves. You see states, and no line that the program printed.
#
# 只改一个词；程序打印的内容不会离开。

# %%
job = darkroom.submit(by_league, on="real", **asked)
job.wait(180)
print(job.logs())

# %%
files = job.result()
table = files.table()
assert "阿拉善" not in [row[0] for row in table.rows]
table

# %% [markdown]
# The program wrote 阿拉善 with its three persons, too (`least` is 2). That row stayed inside: rules are the
# owner's, not the program's. `save` writes the files into a folder.
#
# 规则由数据方执行，与程序怎么写无关。

# %%
files.save("by_league")
files.notes
