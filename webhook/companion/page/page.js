// Asks for the page again every five seconds, and says so when nobody answers: what is
// shown then is old. The reader's place and selection stay, since only what changed moves.
const lost = document.getElementById("lost");
const main = document.querySelector("main");
let since = new Date();
async function look() {
  try {
    const answer = await fetch(location.pathname, { cache: "no-store" });
    if (!answer.ok) throw new Error(answer.status);
    const text = await answer.text();
    const found = new DOMParser().parseFromString(text, "text/html");
    const fresh = found.querySelector("main").innerHTML;
    if (fresh !== main.innerHTML) main.innerHTML = fresh;
    document.title = found.title;
    lost.hidden = true;
    since = new Date();
  } catch {
    lost.textContent = `The companion does not answer; this is as of ${since.toLocaleTimeString()}.`;
    lost.hidden = false;
  }
}
setInterval(look, 5000);
