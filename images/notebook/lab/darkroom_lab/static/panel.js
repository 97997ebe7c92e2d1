// The panel's one script: hands text to the lab that frames this page, and shows a page anew while a job goes on.
"use strict";

const frame = window.parent;

function tell(message) {
  if (frame !== window) {
    frame.postMessage({ darkroom: 1, ...message }, window.location.origin);
  }
}

document.addEventListener("click", (event) => {
  const button = event.target instanceof Element ? event.target.closest("button[data-insert], button[data-command]") : null;
  if (!button) {
    return;
  }
  event.preventDefault();
  if (button.dataset.insert !== undefined) {
    tell({ kind: "insert", text: button.dataset.insert });
  } else {
    tell({ kind: "command", name: button.dataset.command });
  }
});

// A page that nobody sees asks nothing: it is shown anew when it is looked at again.
const seconds = Number(document.body.dataset.refresh || 0);
if (seconds > 0) {
  setInterval(() => {
    if (!document.hidden && document.body.offsetParent !== undefined && window.innerWidth > 0) {
      window.location.reload();
    }
  }, seconds * 1000);
}
