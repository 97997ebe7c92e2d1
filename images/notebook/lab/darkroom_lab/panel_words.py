"""The panel's words, in the languages that it speaks. A test checks that templates use these and no others."""

from __future__ import annotations

LANGUAGES = ("en", "zh")

WORDS: dict[str, tuple[str, str]] = {
    "name": ("Darkroom", "暗室"),
    "nav.catalog": ("Catalog", "数据目录"),
    "nav.jobs": ("My jobs", "我的任务"),
    "nav.budget": ("Budget left", "剩余额度"),
    "nav.home": ("Home", "主目录"),
    "nav.help": ("First steps", "入门"),
    "insert": ("Insert", "插入"),
    "insert.query": ("Insert query", "插入查询"),
    "insert.sample": ("Insert sample", "插入样例"),
    "insert.note": (
        "Inserted text becomes a new cell below the active one. It is not run.",
        "文本将插入到当前单元格下方的新单元格中，不会自动运行。",
    ),
    "search": ("Search", "搜索"),
    "search.hint": ("Name or title", "名称或标题"),
    "catalog.none": ("No dataset fits.", "没有符合条件的数据资源。"),
    "catalog.more": ("{count} more: search for fewer.", "另有 {count} 项，请缩小搜索范围。"),
    "catalog.owner": ("Owner", "数据方"),
    "catalog.grade": ("Grade", "分级"),
    "catalog.version": ("Version", "版本"),
    "catalog.table": ("Table in SQL", "SQL 表名"),
    "catalog.back": ("All datasets", "全部数据资源"),
    "catalog.person": (
        "Every row is about a person: the column person holds a token, never a name.",
        "每行对应一个人：person 列是代号，不是姓名。",
    ),
    "catalog.apply": ("Apply for columns on the portal", "在门户上申请字段"),
    "column.name": ("Column", "字段"),
    "column.uses": ("May be used for", "可用于"),
    "column.nothing": ("nothing", "不可使用"),
    "column.untold": ("the owner's rules say", "以数据方规则为准"),
    "column.rules": ("Rules", "规则"),
    "kind.identifier": ("identifier", "直接标识符"),
    "kind.quasi-identifier": ("quasi-identifier", "准标识符"),
    "kind.sensitive": ("sensitive", "敏感"),
    "kind.plain": ("plain", "普通"),
    "use.select": ("shown", "显示"),
    "use.filter": ("filter", "筛选"),
    "use.compare": ("compare with constants", "与常量比较"),
    "use.join": ("join", "关联"),
    "use.group": ("group by", "分组"),
    "use.aggregate": ("aggregate", "聚合"),
    "use.model": ("models", "建模"),
    "use.shared": ("joint computations", "联合计算"),
    "use.encrypted": ("on ciphertexts", "密文计算"),
    "jobs.none": ("You have no jobs yet.", "您还没有任务。"),
    "jobs.more": ("{count} older ones are not shown.", "另有 {count} 个较早的任务未显示。"),
    "jobs.waits": ("Waits for", "等待"),
    "jobs.verdict": ("Verdict", "检查结论"),
    "jobs.why": ("Why", "原因"),
    "jobs.helps": ("What would help", "可行办法"),
    "jobs.project": ("Project", "项目"),
    "jobs.back": ("All jobs", "全部任务"),
    "jobs.refreshes": ("This page shows itself anew while a job goes on.", "任务进行期间本页自动刷新。"),
    "jobs.result": ("Fetch the result", "取回结果"),
    "jobs.kind.sql": ("statement", "语句"),
    "jobs.kind.python": ("program", "程序"),
    "jobs.kind.component": ("component", "算法控件"),
    "budget.none": ("No grant of yours is in force.", "您没有有效的授权。"),
    "budget.dataset": ("Dataset", "数据资源"),
    "budget.project": ("Project", "项目"),
    "budget.purpose": ("Purpose", "用途"),
    "budget.columns": ("Columns", "字段"),
    "budget.left": ("Uses left", "剩余次数"),
    "budget.of": ("{left} of {uses}", "{left} / {uses}"),
    "budget.most": ("at most {uses}", "至多 {uses}"),
    "budget.until": ("Until", "有效期至"),
    "budget.always": ("no end", "无期限"),
    "budget.private": (
        "Figures leave with noise. In {days} days, the budget of all who ask is {rho}; a question costs {price} unless "
        "it names a price; your own took {own}.",
        "数字加噪后出域。{days} 天内所有人共用预算 {rho}；未注明价格的提问花费 {price}；您本人已用 {own}。",
    ),
    "budget.exact": (
        "At most {cells} exact cells of a sensitive column leave in {days} days, to all who ask.",
        "{days} 天内，一个敏感字段对所有人至多输出 {cells} 个精确单元格。",
    ),
    "budget.note": (
        "What is left of a budget that all share is not told: it would tell what others asked. Look-alike data cost "
        "nothing.",
        "共用预算的余额不予显示，否则会透露他人的提问。使用仿真数据不消耗额度。",
    ),
    "home.used": ("Used", "已用"),
    "home.of": ("{used} of {limit} MiB", "{used} / {limit} MiB"),
    "home.files": ("Files", "文件数"),
    "home.files.of": ("{used} of {limit}", "{used} / {limit}"),
    "home.full": (
        "Your home is full: kernels and terminals cannot write more than a little. Delete what you do not need; open "
        "notebooks can still be saved.",
        "主目录已满：内核与终端几乎无法再写入。请删除不需要的文件；已打开的笔记本仍可保存。",
    ),
    "home.room": ("There is room.", "空间充足。"),
    "home.unknown": (
        "How full your home is, is not known at the moment.",
        "暂时无法得知主目录的使用情况。",
    ),
    "home.note": (
        "Your home survives every restart. Unreleased data are never in it.",
        "主目录在重启后保留；其中不会有未出域的数据。",
    ),
    "help.intro": (
        "In this lab are look-alike data only. The same code goes to the real data with one word changed.",
        "本实验室中只有仿真数据；同一段代码改动一个词即可用于真实数据。",
    ),
    "help.step.see": ("See what there is", "查看有哪些数据"),
    "help.step.twin": ("Look at made-up rows", "查看仿真样例"),
    "help.step.sql": ("Ask on look-alike data", "用仿真数据提问"),
    "help.step.apply": ("Apply for columns", "申请字段"),
    "help.step.real": ("Ask on the real data", "用真实数据提问"),
    "help.step.job": (
        "Make a job of a notebook: tag its cells job, or choose them and use the command below",
        "把笔记本变成任务：给单元格加上标签 job，或选中单元格后使用下面的命令",
    ),
    "help.command": ("Darkroom: make a job of the chosen cells", "暗室：把选中的单元格变成任务"),
    "help.keys": (
        "Your keys: darkroom.make_keys() makes them once, and the portal's page enrols them.",
        "密钥：darkroom.make_keys() 生成一次，并在门户页面登记。",
    ),
    "portal": ("The portal", "门户"),
    "failed.session": (
        "Your session in this lab has ended: reload the page to sign in again; what is saved is safe.",
        "您在本实验室的会话已结束：请重新加载页面并登录；已保存的内容不会丢失。",
    ),
    "failed.token-ended": (
        "The platform does not know this lab's token any more (it has expired, or your membership has ended): save "
        "your work, stop the lab and start it again.",
        "平台已不再认可本实验室的令牌（令牌过期或成员资格终止）：请保存工作，停止实验室后重新启动。",
    ),
    "failed.not-allowed": (
        "A lab may not ask this of the platform; the portal's own pages may.",
        "实验室无权向平台请求此项；请使用门户页面。",
    ),
    "failed.unreachable": (
        "The platform does not answer at the moment; your notebooks are not affected, and this page can be tried "
        "again.",
        "平台暂时没有应答；您的笔记本不受影响，可稍后重试本页。",
    ),
    "failed.slow": (
        "The platform has not answered within 20 seconds; your notebooks are not affected, and this page can be tried "
        "again.",
        "平台在 20 秒内没有应答；您的笔记本不受影响，可稍后重试本页。",
    ),
    "failed.not-found": ("There is no such thing, or it is not yours to see.", "不存在，或您无权查看。"),
    "failed.no-client": (
        "The client cannot be imported in this lab; tell the administrator which image it has.",
        "本实验室无法导入客户端；请告知管理员所用镜像。",
    ),
    "failed.other-version": (
        "The platform answered in a way that this lab does not know: stop the lab and start it again to have its "
        "newest version.",
        "平台的应答与本实验室版本不符：请停止实验室后重新启动，以使用最新版本。",
    ),
    "failed.forbidden": ("This is not allowed from here.", "此处不允许该操作。"),
    "failed.defect": (
        "Something in the panel went wrong; the lab's log says what.",
        "面板出错；详情见实验室日志。",
    ),
    "failed.again": ("Try again", "重试"),
}
