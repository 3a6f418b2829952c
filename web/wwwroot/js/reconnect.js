// The banner of a lost circuit. Charts and consoles have a link of their own and go on above it; buttons and lists wait.
// When the control plane has been started anew, the old circuit is gone for good and the page loads again by itself.

const banner = document.getElementById("components-reconnect-modal");
const words = document.getElementById("reconnect-words");
const probeMs = 1000;

banner?.addEventListener("components-reconnect-state-changed", event => {
  switch (event.detail.state) {
    case "show":
    case "retrying":
      say("The page has lost the control plane and tries again every second. Live charts go on as soon as they can; buttons wait.");
      break;
    case "hide":
      banner.hidden = true;
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
  if (words.textContent !== text) words.textContent = text;
  banner.hidden = false;
}

function reloadWhenUp() {
  fetch("/health/live", { cache: "no-store" })
    .then(answer => { if (answer.ok) location.reload(); else setTimeout(reloadWhenUp, probeMs); })
    .catch(() => setTimeout(reloadWhenUp, probeMs));
}
