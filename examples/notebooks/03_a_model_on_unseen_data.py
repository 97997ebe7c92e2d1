# -*- coding: utf-8 -*-
# Cells of a notebook in the percent format, without outputs. Made by darkroom; edit it as you like.

# %% [markdown]
# # A model on data that you do not see 用看不见的数据训练模型
#
# You train on look-alike rows until the program is right, then on the real ones. What leaves are metrics; the
# model itself is held until reviewers of the owner have looked at it.
#
# 先在仿真数据上调通，再用真实数据训练；指标可以离开，模型要经人工审核。

# %% [markdown]
# ## The program 训练程序
#
# A linear model by least squares. It keeps a part of the persons for measuring, and writes metrics: a flat
# JSON object of numbers.
#
# 用最小二乘法拟合，留一部分人做检验，输出指标。

# %%
import darkroom

darkroom.use(project="study", purpose="A study of incomes")


# %%
def train(with_model):
    import json

    import numpy as np

    import darkroom

    people = darkroom.table("tax.earnings").to_pandas().dropna()
    given = np.column_stack([np.ones(len(people)), people[["age", "school"]].to_numpy(float)])
    income = people["income"].to_numpy(float)
    tested = np.arange(len(people)) % 4 == 0
    fit = np.linalg.lstsq(given[~tested], income[~tested], rcond=None)[0]
    missed = income[tested] - given[tested] @ fit
    r2 = 1 - (missed**2).sum() / ((income[tested] - income[tested].mean()) ** 2).sum()
    persons = int(people["person"].nunique())
    darkroom.out("metrics.json").write_text(json.dumps({"persons": persons, "r2": float(r2)}))
    if with_model:
        model = {"kind": "linear", "family": "gaussian", "features": ["age", "school"], "target": "income"}
        model |= {"intercept": float(fit[0]), "coefficients": [float(each) for each in fit[1:]]}
        darkroom.out("model.json").write_text(json.dumps(model | {"persons": persons}))


tables = {"tax.earnings": ["age", "school", "income"]}
metrics = {"metrics.json": "metrics"}

# %% [markdown]
# ## On twins 仿真数据
#
# It runs here, in a second. The R² is near nothing: in a twin of this sort columns do not depend on each
# other. That the program runs is what a twin shows; how good a model is, it cannot show.
#
# 仿真数据只能说明程序能运行，不能说明模型好不好。

# %%
tried = darkroom.submit(train, on="twin", tables=tables, outputs=metrics, arguments={"with_model": False})
files = tried.result(120)
assert files.look_alike
files.read("metrics.json").decode()

# %% [markdown]
# ## On real data 真实数据
#
# The same program. Metrics leave by themselves: the count is rounded, and R² keeps as many digits as that
# many persons support.
#
# 同一程序；指标经检查后离开，人数取整。

# %%
job = darkroom.submit(train, on="real", tables=tables, outputs=metrics, arguments={"with_model": False})
files = job.result(180)
files.read("metrics.json").decode()

# %%
import json

found = json.loads(files.read("metrics.json"))
assert found["persons"] % 5 == 0 and found["r2"] > 0.3

# %% [markdown]
# ## A model is held 模型要等审核
#
# With `model.json` among the outputs the job ends in `held`. A tenth of the persons was kept from it, so that
# an attack can try whether the model remembers who was there; then people decide. Until they do, there is
# nothing to open.
#
# 模型留在数据方一侧，先做成员推断攻击测试，再由审核人决定。

# %%
import time

outputs = metrics | {"model.json": "model"}
held = darkroom.submit(train, on="real", tables=tables, outputs=outputs, arguments={"with_model": True})
while held.refresh().state != "held" and not held.finished:
    time.sleep(1)
assert held.waits_for == "reviewers", held.problem()
held

# %% [markdown]
# ## The library instead of a program 也可以用算法库
#
# A component has no code of yours, so nobody has to review any. On a twin it is checked and not run: you
# learn that parameters and columns fit, and what would leave. Regressions, trees and clusters are in it, too;
# here it tells what the model was fitted to. All that leaves of one register is compared by its owner's
# ledger, so a regression on all persons, after figures without the three of 阿拉善, would be kept back: the
# difference is about three persons.
#
# 算法库的组件无需代码审核；在仿真数据上只检查参数。

# %%
asked = {"columns": ["income", "school"], "by": "league"}
darkroom.component("describe", asked, ["tax.earnings"], on="twin").result()

# %%
darkroom.component("describe", asked, ["tax.earnings"], on="real").result(180).table()

# %% [markdown]
# ## A refusal 一次拒绝
#
# Identifiers feed nothing. The error says so before anything is sent, and which columns there are.
#
# 标识符不能用于计算；错误信息列出可用的列。

# %% tags=["refused:thing.not-found"]
darkroom.component("describe", {"columns": ["id18"]}, ["tax.earnings"], on="twin")
