// The words of the reconnect dialog. When the control plane has been started anew, the old circuit is gone for good and the page loads again.

const dialog = document.getElementById("components-reconnect-modal");
const words = document.getElementById("reconnect-words");
const probeMs = 2000;

dialog?.addEventListener("components-reconnect-state-changed", event => {
  switch (event.detail.state) {
    case "show":
      say("The page has lost the control plane. Trying again…");
      break;
    case "hide":
      dialog.close();
      break;
    case "failed":
      say("The control plane does not answer. The page loads again as soon as it does.");
      reloadWhenUp();
      break;
    case "rejected":
    case "resume-failed":
      location.reload();
      break;
  }
});

function say(text) {
  words.textContent = text;
  if (!dialog.open) dialog.showModal();
}

function reloadWhenUp() {
  fetch("/health/live", { cache: "no-store" })
    .then(answer => { if (answer.ok) location.reload(); else setTimeout(reloadWhenUp, probeMs); })
    .catch(() => setTimeout(reloadWhenUp, probeMs));
}
