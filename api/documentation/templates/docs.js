const search = document.getElementById("search");
const links = new Map([...document.querySelectorAll("nav a.call")].map(a => [a.hash.slice(1), a]));
const calls = [...document.querySelectorAll("article[id]")];

search.addEventListener("input", () => {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const call of calls) {
    const text = call.textContent.toLowerCase();
    call.hidden = !words.every(word => text.includes(word));
    links.get(call.id).hidden = call.hidden;
  }
  for (const group of document.querySelectorAll("main section.group:not(#errors)")) {
    group.hidden = !group.querySelector("article:not([hidden])");
    document.querySelector(`nav [data-group="${group.id}"]`).hidden = group.hidden;
  }
  document.getElementById("nothing").hidden = calls.some(call => !call.hidden);
});

addEventListener("keydown", event => {
  if (event.key === "/" && document.activeElement !== search) {
    event.preventDefault();
    search.focus();
  }
});

for (const button of document.querySelectorAll(".example button")) {
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(button.previousElementSibling.textContent);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
}

const watcher = new IntersectionObserver(entries => {
  for (const entry of entries) {
    links.get(entry.target.id).classList.toggle("here", entry.isIntersecting);
  }
}, { rootMargin: "-10% 0px -80% 0px" });
calls.forEach(call => watcher.observe(call));
