// Darkroom 暗室 in JupyterLab, written by hand: no build step makes it, so what is read here is what runs.
//
// JupyterLab loads this file and asks for the module "./extension" (module federation). What it needs of JupyterLab is
// taken from the shared scope. It shows the pages of the lab's own server (darkroom_lab/panel.py) in a frame, puts text
// that they hand over into a new cell, and never runs a cell. Where the lab ends, it saves what is open, and says why and what to do.
"use strict";

(() => {
  let shared = null;

  // A shared module of JupyterLab: the version that is loaded already, else JupyterLab's own.
  async function take(name) {
    const versions = Object.values(shared[name] || {});
    const chosen =
      versions.find((each) => each.loaded) ||
      versions.find((each) => String(each.from || "").startsWith("@jupyterlab/application")) ||
      versions[0];
    if (!chosen) {
      throw new Error(`JupyterLab shares no ${name}`);
    }
    return (await chosen.get())();
  }

  const LONGEST_TEXT = 20000;
  const HOME_PAUSE_MS = 15000;
  const NOTICE = "https://darkroom.invalid/notice"; // the event by which the lab's server wakes pages
  const MOST_ASKS = 10; // how often the Hub is asked why a lab ended; it does not know why its member stopped it
  const AGAIN_MS = 3000; // how soon a lab that did not answer is asked again
  const MISSES = { ended: 2, session: 2, silent: 4 }; // how often in a row, before it is said

  const WORDS = {
    en: {
      title: "Darkroom",
      open: "Darkroom: catalog, jobs, budget",
      caption: "What there is, what you asked, what is left",
      makeJob: "Darkroom: make a job of the chosen cells",
      noNotebook: "Open a notebook first: the text goes into a cell of it.",
      nothing: "Choose cells, or give the cells that are the job the tag job.",
      made: (folder) => `The job is in ${folder}`,
      cells: (cells) => `It holds cell ${cells.join(", ")}, counted from the top, without any output.`,
      complete: "Complete darkroom.toml, then try it on look-alike data:",
      failed: "This cannot become a job",
      away: "The lab's server does not answer.",
      full: "Home full",
      fullWhy: "Your home is full: delete what you do not need. Notebooks can still be saved.",
      close: "Close",
      openFiles: "Open the files",
      ended: "Your lab has ended. The page behind the link says why, if it was not you, and opens it again; this page keeps what you typed: save it then.",
      endedBecause: (why) => `${why} This page keeps what you typed: save it when your lab runs again.`,
      endedForGood: (why) => `${why} This page keeps what you typed until you close it: copy what you need.`,
      saving: (why) => `${why} Open documents are being saved.`,
      saved: (why) => `${why} Everything that is open here is saved.`,
      unsaved: (why, names) => `${why} Not saved: ${names.join(", ")}. Copy what you need.`,
      session: "Your session has ended. Open the lab again in another tab; this page keeps what you typed: save it then.",
      silent: "Your lab does not answer. If it does not come back by itself, open it again; this page keeps what you typed.",
      openLab: "Open the lab",
    },
    zh: {
      title: "暗室",
      open: "暗室：数据目录、任务、额度",
      caption: "有哪些数据、提过哪些问题、还剩多少额度",
      makeJob: "暗室：把选中的单元格变成任务",
      noNotebook: "请先打开一个笔记本：文本将插入其中的单元格。",
      nothing: "请选中单元格，或给属于任务的单元格加上标签 job。",
      made: (folder) => `任务位于 ${folder}`,
      cells: (cells) => `包含第 ${cells.join("、")} 个单元格（自上而下计数），不含任何输出。`,
      complete: "请补全 darkroom.toml，然后用仿真数据试运行：",
      failed: "无法变成任务",
      away: "实验室的服务器没有应答。",
      full: "主目录已满",
      fullWhy: "主目录已满：请删除不需要的文件；笔记本仍可保存。",
      close: "关闭",
      openFiles: "打开文件",
      ended: "您的实验室已结束。若非您本人停止，链接页面会说明原因，也可在那里重新打开；本页保留您输入的内容，之后请在此保存。",
      endedBecause: (why) => `${why}本页保留您输入的内容，实验室再次运行后请在此保存。`,
      endedForGood: (why) => `${why}本页在关闭前保留您输入的内容，请复制需要的部分。`,
      saving: (why) => `${why}正在保存打开的文档。`,
      saved: (why) => `${why}此处打开的内容已全部保存。`,
      unsaved: (why, names) => `${why}未能保存：${names.join("、")}。请复制需要的部分。`,
      session: "您的登录已结束。请在新标签页中重新打开实验室；本页保留您输入的内容，之后请在此保存。",
      silent: "您的实验室没有应答。若未自行恢复，请重新打开；本页保留您输入的内容。",
      openLab: "打开实验室",
    },
  };

  const ICON =
    '<svg xmlns="http://www.w3.org/2000/svg" width="16" viewBox="0 0 22 22"><g class="jp-icon3" fill="#616161">' +
    '<path d="M3 4h16v14H3z M5 6v10h12V6z" fill-rule="evenodd"/><circle cx="11" cy="11" r="3"/></g></svg>';

  async function plugins() {
    const [application, apputils, cells, coreutils, docmanager, launcher, notebook, services, statusbar, translation, ui, lumino] =
      await Promise.all(
        [
          "@jupyterlab/application",
          "@jupyterlab/apputils",
          "@jupyterlab/cells",
          "@jupyterlab/coreutils",
          "@jupyterlab/docmanager",
          "@jupyterlab/launcher",
          "@jupyterlab/notebook",
          "@jupyterlab/services",
          "@jupyterlab/statusbar",
          "@jupyterlab/translation",
          "@jupyterlab/ui-components",
          "@lumino/widgets",
        ].map(take),
      );
    const watched = { soon: () => {} };
    const panel = {
      id: "darkroom:panel",
      description: "The panel Darkroom 暗室, and from a notebook to a job.",
      autoStart: true,
      requires: [notebook.INotebookTracker, translation.ITranslator, docmanager.IDocumentManager],
      optional: [
        apputils.ICommandPalette,
        launcher.ILauncher,
        statusbar.IStatusBar,
        apputils.IThemeManager,
        application.ILayoutRestorer,
      ],
      activate: (app, tracker, translator, documents, palette, cards, bar, themes, restorer) => {
        const modules = { apputils, coreutils, notebook, services, ui, lumino };
        const lab = activate(app, modules, { tracker, translator, documents, palette, cards, bar, themes, restorer });
        watched.soon = lab.soon;
      },
    };
    // Takes the place of JupyterLab's own word for a server that is gone, which offers a dialog over the work.
    const lost = {
      id: "darkroom:lost",
      description: "Says what to do when the lab has ended.",
      autoStart: true,
      provides: application.IConnectionLost,
      activate: () => async () => watched.soon(),
    };
    return [panel, lost];
  }

  function activate(app, modules, given) {
    const { coreutils, ui, lumino, services } = modules;
    const settings = services.ServerConnection.makeSettings();
    const root = coreutils.URLExt.join(settings.baseUrl, "darkroom");
    const language = String(given.translator.languageCode || "en").toLowerCase().startsWith("zh") ? "zh" : "en";
    const words = WORDS[language];
    const icon = new ui.LabIcon({ name: "darkroom:icon", svgstr: ICON });
    const lab = { app, modules, given, settings, root, language, words, icon };

    const panel = new lumino.Widget();
    panel.id = "darkroom-panel";
    panel.title.caption = "暗室 Darkroom";
    panel.title.icon = icon;
    panel.node.style.cssText = "display:flex;min-width:280px";
    lab.panel = panel;
    lab.frame = framed(lab);
    app.shell.add(panel, "left", { rank: 350, type: "Darkroom" });
    if (given.restorer) {
      given.restorer.add(panel, "darkroom-panel");
    }
    addCommands(lab);
    watchLab(lab, given.bar ? homeItem(lab) : () => {});
    return lab;
  }

  // The frame is loaded when the panel is first shown, so that a lab that never opens it asks nothing.
  function framed(lab) {
    const frame = document.createElement("iframe");
    frame.title = "Darkroom 暗室";
    frame.referrerPolicy = "same-origin";
    frame.style.cssText = "border:0;flex:1;width:100%;height:100%;background:var(--jp-layout-color1)";
    lab.panel.node.appendChild(frame);
    const look = () => (lab.given.themes && lab.given.themes.theme && !lab.given.themes.isLight(lab.given.themes.theme) ? "dark" : "light");
    const go = (path) => {
      frame.src = `${lab.root}/${path}?lang=${lab.language}&theme=${look()}`;
    };
    const shown = new MutationObserver(() => {
      if (!frame.src && lab.panel.isVisible) {
        go("catalog");
      }
    });
    shown.observe(lab.panel.node, { attributes: true, attributeFilter: ["class", "style"] });
    lab.go = go;
    if (lab.given.themes) {
      lab.given.themes.themeChanged.connect(() => {
        if (frame.src) {
          const here = new URL(frame.contentWindow.location.href);
          here.searchParams.set("theme", look());
          frame.contentWindow.location.replace(here.href);
        }
      });
    }
    window.addEventListener("message", (event) => heard(lab, event));
    return frame;
  }

  // Only the page in our own frame, of our own origin, is heard; and of it only what is known.
  function heard(lab, event) {
    const said = event.data;
    if (event.source !== lab.frame.contentWindow || event.origin !== window.location.origin) {
      return;
    }
    if (!said || typeof said !== "object" || said.darkroom !== 1) {
      return;
    }
    if (said.kind === "insert" && typeof said.text === "string" && said.text.length <= LONGEST_TEXT) {
      insert(lab, said.text);
    } else if (said.kind === "command" && said.name === "make-job") {
      lab.app.commands.execute("darkroom:make-job");
    }
  }

  // A new cell of code below the active one, with this text. It is not run.
  function insert(lab, text) {
    const { notebook, apputils } = lab.modules;
    const current = lab.given.tracker.currentWidget;
    if (!current || !current.content.model || current.content.model.readOnly) {
      apputils.Notification.warning(lab.words.noNotebook, { autoClose: 5000 });
      return;
    }
    notebook.NotebookActions.insertBelow(current.content);
    const cell = current.content.activeCell;
    if (cell.model.type !== "code") {
      notebook.NotebookActions.changeCellType(current.content, "code");
    }
    current.content.activeCell.model.sharedModel.setSource(text);
    lab.app.shell.activateById(current.id);
  }

  function addCommands(lab) {
    const { app, words, icon } = lab;
    app.commands.addCommand("darkroom:open", {
      label: words.open,
      caption: words.caption,
      icon,
      execute: () => {
        app.shell.activateById(lab.panel.id);
        if (!lab.frame.src) {
          lab.go("catalog");
        }
      },
    });
    app.commands.addCommand("darkroom:make-job", {
      label: words.makeJob,
      icon,
      isEnabled: () => lab.given.tracker.currentWidget !== null,
      execute: () => makeJob(lab),
    });
    for (const command of ["darkroom:open", "darkroom:make-job"]) {
      if (lab.given.palette) {
        lab.given.palette.addItem({ command, category: "暗室 Darkroom" });
      }
    }
    if (lab.given.cards) {
      lab.given.cards.add({ command: "darkroom:open", category: "暗室 Darkroom", rank: 0 });
    }
  }

  // Cells are told by their places from the top: those that are selected if there are several, else the tagged ones.
  async function makeJob(lab) {
    const current = lab.given.tracker.currentWidget;
    if (!current) {
      return;
    }
    await current.context.save();
    const cells = current.content.widgets;
    const selected = cells.flatMap((cell, index) => (current.content.isSelectedOrActive(cell) ? [index + 1] : []));
    const tagged = cells.some((cell) => (cell.model.sharedModel.getMetadata("tags") || []).includes("job"));
    const chosen = selected.length > 1 || !tagged ? selected : [];
    const answer = await post(lab, { path: localPath(lab, current.context.path), cells: chosen });
    await tellMade(lab, answer, current.context.path);
  }

  function localPath(lab, path) {
    return lab.app.serviceManager.contents.localPath(path);
  }

  async function post(lab, body) {
    const { services } = lab.modules;
    try {
      const answer = await services.ServerConnection.makeRequest(
        `${lab.root}/make-job?lang=${lab.language}`,
        { method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" } },
        lab.settings,
      );
      return await answer.json();
    } catch (problem) {
      return { sentence: lab.words.away, where: "", next_step: "" };
    }
  }

  async function tellMade(lab, answer) {
    const { apputils, lumino } = lab.modules;
    const { words } = lab;
    const lines = answer.folder
      ? [words.cells(answer.cells), ...answer.notes, words.complete]
      : [answer.sentence, answer.where, answer.next_step];
    const body = new lumino.Widget();
    for (const line of lines.filter((each) => typeof each === "string" && each)) {
      body.node.appendChild(document.createElement("p")).textContent = line;
    }
    if (answer.folder) {
      const code = body.node.appendChild(document.createElement("pre"));
      code.textContent = `darkroom.submit(${JSON.stringify(answer.folder)}, on="twin")`;
    }
    const { Dialog, showDialog } = apputils;
    const buttons = [Dialog.cancelButton({ label: words.close })];
    if (answer.folder) {
      buttons.push(Dialog.okButton({ label: words.openFiles }));
    }
    const title = answer.folder ? words.made(answer.folder) : words.failed;
    const done = await showDialog({ title, body, buttons });
    if (answer.folder && done.button.accept) {
      for (const name of ["main.py", "darkroom.toml"]) {
        await lab.app.commands.execute("docmanager:open", { path: `${answer.folder}/${name}` });
      }
    }
  }

  // The status bar says that the home is full, and nothing while it is not. Returns what takes the facts.
  function homeItem(lab) {
    const item = new lab.modules.lumino.Widget();
    item.node.style.cssText = "color:var(--jp-error-color1);font-weight:600;cursor:pointer;line-height:24px";
    item.node.addEventListener("click", () => {
      lab.app.shell.activateById(lab.panel.id);
      lab.go("home");
    });
    item.node.title = lab.words.fullWhy;
    item.setHidden(true);
    let full = false;
    lab.given.bar.registerStatusItem("darkroom:home", { align: "right", item, rank: 900, isActive: () => full });
    return (facts) => {
      full = facts.full === true;
      item.node.textContent = full ? lab.words.full : "";
      item.setHidden(!full);
    };
  }

  // Asks the lab now and then how full its home is, and what the Hub has said. Where nobody answers, asks sooner, and
  // then says what to do. A page that nobody looks at asks nothing, unless the lab's server wakes it.
  function watchLab(lab, takeFacts) {
    let misses = 0;
    let timer = 0;
    const again = (pause) => {
      clearTimeout(timer);
      timer = setTimeout(look, pause);
    };
    async function look(woken) {
      if (document.hidden && woken !== true) {
        return; // looked at again, it asks at once
      }
      const { state, facts } = await asked(lab);
      takeFacts(facts);
      misses = state === "lives" ? 0 : misses + 1;
      if (state === "lives") {
        Object.assign(lab, { key: facts.key || lab.key, why: null, asks: MOST_ASKS });
        takeNotice(lab, facts.notice);
      } else if (misses >= MISSES[state]) {
        await tellEnd(lab, state);
      }
      again(misses || lab.ending ? AGAIN_MS : HOME_PAUSE_MS);
    }
    lab.soon = () => again(0);
    document.addEventListener("visibilitychange", lab.soon);
    const { events } = lab.app.serviceManager;
    if (events) {
      events.stream.connect((_, event) => event.schema_id === NOTICE && look(true));
    }
    look();
  }

  // What the Hub says while the lab lives: that it will be too old some time, or that it ends now. The lab's server tells
  // it for as long as it holds (darkroom_lab/notices.py); then what was said is taken back.
  function takeNotice(lab, notice) {
    const said = notice && (lab.language === "zh" ? notice.zh : notice.en);
    if (!said) {
      lab.ending = null;
      tellState(lab, "");
    } else if (notice.kind === "ending") {
      saveBefore(lab, said);
    } else if (lab.warned !== said) {
      lab.warned = said;
      const time = new Date(1000 * notice.until).toLocaleString();
      lab.modules.apputils.Notification.warning(said.replace("{time}", time), { autoClose: false });
      tellState(lab, "");
    }
  }

  // Saves every document that is open and changed, and says what became of it; again while the lab still answers.
  async function saveBefore(lab, why) {
    if (lab.saving) {
      return;
    }
    if (lab.ending !== why) {
      tellState(lab, "ending", lab.words.saving(why));
    }
    lab.ending = why;
    const contexts = new Map();
    for (const widget of lab.app.shell.widgets("main")) {
      const context = lab.given.documents.contextForWidget(widget);
      if (context && context.model.dirty && !context.model.readOnly) {
        contexts.set(context.path, context);
      }
    }
    lab.saving = true;
    await Promise.allSettled([...contexts.values()].map((context) => context.save()));
    lab.saving = false;
    if (lab.ending !== why) {
      return; // taken back meanwhile
    }
    const left = [...contexts.values()].filter((context) => context.model.dirty).map((context) => context.path);
    tellState(lab, "ending", left.length ? lab.words.unsaved(why, left) : lab.words.saved(why));
  }

  // What became of a lab that does not answer. The Hub says why it ended to whoever has the key that the lab gave.
  async function tellEnd(lab, state) {
    if (!lab.why && (state === "ended" || lab.ending) && lab.asks > 0) {
      lab.asks -= 1;
      lab.why = await whyEnded(lab);
    }
    const why = state === "session" ? null : lab.why;
    const said = why && (lab.language === "zh" ? why.zh : why.en);
    if (said) {
      tellState(lab, state, why.again ? lab.words.endedBecause(said) : lab.words.endedForGood(said));
    } else {
      tellState(lab, state, lab.words[state]);
    }
  }

  async function whyEnded(lab) {
    const { PageConfig, URLExt } = lab.modules.coreutils;
    const hub = PageConfig.getOption("hubPrefix");
    if (!hub || !lab.key) {
      return null;
    }
    const asked = new URLSearchParams({ user: PageConfig.getOption("hubUser"), key: lab.key });
    try {
      const answer = await fetch(`${URLExt.join(hub, "lab-ended")}?${asked}`, { credentials: "omit", redirect: "manual" });
      return answer.ok ? await answer.json() : null;
    } catch (problem) {
      return null;
    }
  }

  // The proxy leads to the Hub when there is no lab any more, and the Hub answers 424 or leads to its own host.
  async function asked(lab) {
    try {
      const { ServerConnection } = lab.modules.services; // as JupyterLab asks when it saves
      const init = { redirect: "manual", headers: { Accept: "application/json" } };
      const answer = await ServerConnection.makeRequest(`${lab.root}/home.json`, init, lab.settings);
      if (answer.ok) {
        return { state: "lives", facts: await answer.json() };
      }
      const ended = answer.type === "opaqueredirect" || answer.status === 424;
      return { state: ended ? "ended" : answer.status === 403 ? "session" : "silent", facts: {} };
    } catch (problem) {
      return { state: "silent", facts: {} };
    }
  }

  // One line above everything, dialogs too, with a link to the Hub; it goes when the lab is back.
  function tellState(lab, state, text = "") {
    const { PageConfig, URLExt } = lab.modules.coreutils;
    if (!lab.notice) {
      lab.notice = document.createElement("div");
      lab.notice.id = "darkroom-notice";
      lab.notice.setAttribute("role", "alert");
      lab.notice.style.cssText =
        "position:fixed;top:0;left:0;right:0;z-index:20000;padding:8px 16px;text-align:center;" +
        "font:14px/1.4 sans-serif;background:#ffe9a8;color:#222";
      document.body.appendChild(lab.notice);
    }
    lab.notice.hidden = !state;
    if (lab.notice.dataset.state === state && lab.told === text) {
      return;
    }
    lab.notice.dataset.state = state;
    lab.told = text;
    lab.notice.textContent = state ? `${text} ` : "";
    if (state && state !== "ending" && PageConfig.getOption("hubPrefix")) {
      const link = lab.notice.appendChild(document.createElement("a"));
      link.href = PageConfig.getOption("hubHost") + URLExt.join(PageConfig.getOption("hubPrefix"), "home");
      link.textContent = lab.words.openLab;
      link.target = "_blank";
      link.rel = "noopener";
      link.style.color = "#0b57d0";
    }
  }

  window._JUPYTERLAB = window._JUPYTERLAB || {};
  window._JUPYTERLAB.darkroom = {
    init(scope) {
      shared = scope;
    },
    async get(name) {
      if (name !== "./extension") {
        throw new Error(`darkroom has no module ${name}`);
      }
      const made = { __esModule: true, default: await plugins() };
      return () => made;
    },
  };
})();
