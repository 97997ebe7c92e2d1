# -*- coding: utf-8 -*-
# Cells of a notebook in the percent format, without outputs. Made by darkroom; edit it as you like.

# %% [markdown]
# # Chinese text and character recognition 中文文本与文字识别
#
# Letters of citizens, and pictures of licences. No letter and no picture leaves; what leaves is how many
# persons used a word, and on how many persons' pictures a field can be read.
#
# 来信原文和证照图片都不离开，只输出多少人用了某个词、多少张图片上有某个字段。

# %%
import darkroom

darkroom.use(project="study", purpose="A study of incomes")
darkroom.sample("nm/tax/letters", rows=3)

# %% [markdown]
# The look-alike letters are no Chinese: nothing about their content was declared, so they are plain codes. A
# component is checked on them all the same.
#
# 仿真来信没有真实内容，但可以检查参数。

# %% [markdown]
# ## Keywords 关键词
#
# Words are cut by the dictionary of jieba (`rjieba`), beside the data. Names of persons, numbers and single
# characters are never shown, and a word only if at least ten persons used it.
#
# 用结巴词典在数据旁分词；至少十个人用过的词才出现。

# %%
checked = darkroom.component("keywords", {"text": "letter", "top": 12}, ["tax.letters"], on="twin")
checked.result()

# %%
reasons = checked.explain()
assert list(reasons) == []

# %%
job = darkroom.component("keywords", {"text": "letter", "top": 12}, ["tax.letters"], on="real")
words = job.result(180).table()
assert "供暖" in [row[0] for row in words.rows]
words

# %% [markdown]
# ## Topics 主题
#
# A topic is a name and its words. One person counts once in each.
#
# 按自定义的主题词统计人数。

# %%
topics = {"text": "letter", "topics": ["heating=供暖|温度", "roads=道路|公交", "charges=收费|物业"]}
job = darkroom.component("topic-counts", topics, ["tax.letters"], on="real")
job.result(180).table()

# %% [markdown]
# ## Character recognition 文字识别
#
# `rapidocr` reads the pictures beside the data, with models that are in the image of the box. You name
# fields; what stands in them stays inside.
#
# 在数据旁识别图片，只统计您指定的字段在多少人的证照上出现。

# %%
fields = {"picture": "licence", "fields": ["营业执照", "有效期"]}
job = darkroom.component("certificate-reading", fields, ["tax.letters"], on="real")
read = job.result(300).tables
read["fields.csv"]

# %%
read["reading.csv"]

# %% [markdown]
# ## A refusal 一次拒绝
#
# A statement without a group asks for rows. The owner of this register shows no column as it is, so it is
# refused, and the error lists the columns.
#
# 数据方没有允许逐行查看，来信原文不能查询。

# %% tags=["refused:sql.unsupported"]
darkroom.sql("select letter, league from tax.letters", on="real").result(120)

# %% [markdown]
# The advice stands in the error. Counts by league are allowed.
#
# 按盟市计数是允许的。

# %%
allowed = "select league, count(*) as n from tax.letters group by league"
darkroom.sql(allowed, on="real").result(120).to_pandas()
